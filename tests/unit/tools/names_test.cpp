// SPDX-License-Identifier: Apache-2.0
// Names: demangled, taken apart, recognized as runtime, and shortened.
#include <gtest/gtest.h>

#include "formats/human.h"
#include "symbols/demangle.h"
#include "symbols/runtime_frames.h"

namespace seep {
namespace {

TEST(Demangle, OfCxxAndOfRust) {
  EXPECT_EQ(demangle("_ZN6shapes4openEi"), "shapes::open(int)");
  EXPECT_EQ(demangle("_ZN3foo3bar17h0123456789abcdefE"), "foo::bar");
  EXPECT_EQ(demangle("main"), std::nullopt);
  EXPECT_EQ(demangle("_Zwrong"), std::nullopt);
}

TEST(ReadableSymbol, DropsVersionsAndCopySuffixes) {
  EXPECT_EQ(readable_symbol("strdup@@GLIBC_2.2.5"), "strdup");
  EXPECT_EQ(readable_symbol("parse.constprop.0"), "parse");
  EXPECT_EQ(readable_symbol("parse.part.0.cold"), "parse");
  EXPECT_EQ(readable_symbol("_ZN6shapes4openEi.isra.0"), "shapes::open(int)");
  EXPECT_EQ(readable_symbol("a.partial"), "a.partial");
}

TEST(QualifiedName, IsWithoutReturnTypeTemplatesAndParameters) {
  EXPECT_EQ(qualified_name("void std::vector<int, std::allocator<int> >::f<char>(int) const"), "std::vector::f");
  EXPECT_EQ(qualified_name("main"), "main");
  EXPECT_EQ(qualified_name("operator new(unsigned long)"), "operator new");
  EXPECT_EQ(qualified_name("operator new[](unsigned long, std::align_val_t)"), "operator new[]");
  EXPECT_EQ(qualified_name("(anonymous namespace)::f(int)"), "(anonymous namespace)::f");
  EXPECT_EQ(qualified_name("main::{lambda(int)#1}::operator()(int) const"), "main::{lambda");
  EXPECT_EQ(qualified_name("S::operator()(int) const"), "S::operator()");
  EXPECT_EQ(qualified_name("bool operator< <int>(A<int> const&, A<int> const&)"), "operator<");
  EXPECT_EQ(qualified_name("std::ostream& std::operator<< <char>(std::ostream&)"), "std::operator<<");
  EXPECT_EQ(qualified_name("S::operator->()"), "S::operator->");
  EXPECT_EQ(qualified_name(""), "");
}

TEST(Runtime, IsWhatAllocatesForItsCaller) {
  for (const char* function : {"operator new(unsigned long)", "operator new[](unsigned long, std::nothrow_t const&)",
                               "std::allocator<char>::allocate(unsigned long)",
                               "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
                               "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int*, int&&)",
                               "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> "
                               ">::_M_create(unsigned long&, unsigned long)",
                               "std::shared_ptr<Thing> std::make_shared<Thing>()", "strdup", "__strdup", "vasprintf",
                               "getline", "fopen", "g_malloc0", "xmalloc", "alloc::raw_vec::RawVec<T,A>::reserve",
                               "<alloc::vec::Vec<T> as core::clone::Clone>::clone"}) {
    EXPECT_TRUE(is_runtime_function(function)) << function;
  }
  for (const char* function : {"main", "strdup_all", "my::operator_new()", "PyObject_Malloc",
                               "load(std::string const&)", "Stock::operator new_stock()", "stdlib::load()",
                               "(anonymous namespace)::xmalloc_pool()", "operator newline()", "std", ""}) {
    EXPECT_FALSE(is_runtime_function(function)) << function;
  }
}

TEST(Human, Numbers) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(999), "999");
  EXPECT_EQ(human_count(1'234'567), "1,234,567");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(1024 * 1024 - 1), "1.00 MiB");
  EXPECT_EQ(human_bytes(8.5e9), "7.92 GiB");
  EXPECT_EQ(human_duration(250'000), "0 ms");
  EXPECT_EQ(human_duration(250'000'000), "0.2 s");
  EXPECT_EQ(human_duration(41'200'000'000), "41 s");
  EXPECT_EQ(human_duration(200'000'000'000), "3 min 20 s");
  EXPECT_EQ(human_duration(9'000'000'000'000), "2 h 30 min");
  EXPECT_EQ(human_duration(400'000'000'000'000), "4 d 15 h");
}

TEST(Human, LongFunctionsLoseParametersThenTemplates) {
  EXPECT_EQ(shortened_function("load(int)", 40), "load(int)");
  EXPECT_EQ(shortened_function("load_everything(std::string const&, std::vector<int> const&)", 40),
            "load_everything(...)");
  EXPECT_EQ(shortened_function("ns::Cache<std::pair<int, std::vector<double> >, std::less<int> >::fill(int)", 40),
            "ns::Cache::fill");
  EXPECT_LE(columns(shortened_function(std::string(500, 'f'), 40)), 40u);
  EXPECT_EQ(shortened_function("std::tuple<main()::<lambda()> >::f", 24), "std::tuple::f");
}

TEST(Human, NothingThatSteersATerminal) {
  EXPECT_EQ(printable("a\033[2Jb\n"), "a?[2Jb?");
  EXPECT_EQ(shortened_function("evil\033]0;title\a", 80), "evil?]0;title?");
}

TEST(Human, ShellWords) {
  EXPECT_EQ(shell_quoted("seep.server.12"), "seep.server.12");
  EXPECT_EQ(shell_quoted("a b"), "'a b'");
  EXPECT_EQ(shell_quoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quoted(""), "''");
}

}  // namespace
}  // namespace seep
