// SPDX-License-Identifier: Apache-2.0
// The table of runtime functions, in groups, each with its reason.
//
// What is not here: functions that allocate for a purpose of their own (PyObject_Malloc, sqlite3_malloc, a program's
// pools). A wrapper belongs here only where it is known by name across programs and does nothing but allocate.
#include "symbols/runtime_frames.h"

#include <algorithm>
#include <array>
#include <string>

#include "symbols/demangle.h"

namespace seep {
namespace {

// The language's allocation operators: their caller wrote `new`.
constexpr std::array<std::string_view, 2> kOperators = {"operator new", "operator new[]"};

// The standard libraries of C++ (libstdc++, libc++) and Rust. Their containers, strings, smart pointers and streams
// hold memory for whoever uses them; only the frames at the inner end count, so a callback's own callers stay visible.
constexpr std::array<std::string_view, 10> kLibraryNamespaces = {
    "std::",    "__gnu_cxx::", "__gnu_debug::", "alloc::",      "hashbrown::",
    "<alloc::", "<std::",      "<hashbrown::",  "__rust_alloc", "__rdl_alloc"};

// libc functions whose result is the caller's to free, or the caller's object: the ISO C and POSIX manual says so of
// each. The names with underscores are what the same functions are called inside glibc, or with _FORTIFY_SOURCE.
constexpr std::array<std::string_view, 46> kLibcFunctions = {"strdup",
                                                             "__strdup",
                                                             "strndup",
                                                             "__strndup",
                                                             "wcsdup",
                                                             "asprintf",
                                                             "__asprintf",
                                                             "vasprintf",
                                                             "__vasprintf",
                                                             "__vasprintf_internal",
                                                             "__asprintf_chk",
                                                             "__vasprintf_chk",
                                                             "getline",
                                                             "__getline",
                                                             "getdelim",
                                                             "__getdelim",
                                                             "_IO_getdelim",
                                                             "_IO_getline",
                                                             "realpath",
                                                             "__realpath",
                                                             "realpath_stk",
                                                             "__realpath_chk",
                                                             "getcwd",
                                                             "__getcwd",
                                                             "get_current_dir_name",
                                                             "canonicalize_file_name",
                                                             "fopen",
                                                             "_IO_new_fopen",
                                                             "__fopen_internal",
                                                             "_IO_fopen",
                                                             "fdopen",
                                                             "_IO_new_fdopen",
                                                             "fopencookie",
                                                             "open_memstream",
                                                             "fmemopen",
                                                             "opendir",
                                                             "__opendir",
                                                             "__alloc_dir",
                                                             "fdopendir",
                                                             "scandir",
                                                             "__scandir64_tail",
                                                             "popen",
                                                             "_IO_new_popen",
                                                             "reallocarray",
                                                             "__libc_reallocarray",
                                                             "tempnam"};

// A stream's buffer, allocated at its first use: it belongs to the stream's user.
constexpr std::array<std::string_view, 4> kStreamBuffers = {"_IO_file_doallocate", "_IO_doallocbuf",
                                                            "__GI__IO_file_doallocate", "__GI__IO_doallocbuf"};

// Allocate-or-abort wrappers with a fixed name in many programs: GLib's, and the x-functions of gnulib and libiberty.
constexpr std::array<std::string_view, 35> kWrappers = {
    "g_malloc",     "g_malloc0",       "g_malloc_n",       "g_malloc0_n",    "g_realloc",     "g_realloc_n",
    "g_try_malloc", "g_try_malloc0",   "g_slice_alloc",    "g_slice_alloc0", "g_slice_copy",  "g_strdup",
    "g_strndup",    "g_strdup_printf", "g_strdup_vprintf", "g_strconcat",    "g_memdup",      "g_memdup2",
    "xmalloc",      "xzalloc",         "xcalloc",          "xrealloc",       "xreallocarray", "xnmalloc",
    "xstrdup",      "xstrndup",        "xmemdup",          "xmemdup0",       "xasprintf",     "xvasprintf",
    "ximalloc",     "xpalloc",         "x2realloc",        "x2nrealloc",     "ximemdup"};

template <typename Table>
bool contains(const Table& table, std::string_view name) {
  return std::find(table.begin(), table.end(), name) != table.end();
}

}  // namespace

bool is_runtime_function(std::string_view function) {
  const std::string name = qualified_name(function);
  const auto starts = [&name](std::string_view prefix) { return name.starts_with(prefix); };
  // A template argument list at the very start ("<alloc::vec::Vec<T> as Clone>::clone") is gone from `name`.
  const auto starts_whole = [function](std::string_view prefix) { return function.starts_with(prefix); };
  return contains(kOperators, name) || contains(kLibcFunctions, name) || contains(kStreamBuffers, name) ||
         contains(kWrappers, name) || std::any_of(kLibraryNamespaces.begin(), kLibraryNamespaces.end(), starts) ||
         std::any_of(kLibraryNamespaces.begin(), kLibraryNamespaces.end(), starts_whole);
}

}  // namespace seep
