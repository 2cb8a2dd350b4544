// SPDX-License-Identifier: Apache-2.0
// From linker names to the names that people wrote. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace seep {

// The C++ (or older Rust) name behind a linker name, or nothing where it is not one.
std::optional<std::string> demangle(const std::string& linker_name);

// What to call an ELF symbol: demangled where it can be, without version ("@GLIBC_2.2.5") and without the suffixes of
// the compiler's copies (".constprop.0", ".cold"), so that a function has one name however it was optimized.
std::string readable_symbol(std::string_view symbol);

// "void std::vector<int>::f<char>(int) const" -> "std::vector::f": without return type, template arguments, parameters.
std::string qualified_name(std::string_view function);

}  // namespace seep
