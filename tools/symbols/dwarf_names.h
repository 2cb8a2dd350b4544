// SPDX-License-Identifier: Apache-2.0
// Names and source files of DWARF functions. Pure reading of an open file; one thread a file.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>

namespace seep {

// The full name of a (possibly inlined) function: its linker name demangled, else its own name below the names of its
// namespaces and classes. Empty where it has none.
std::string dwarf_function_name(Dwarf_Die& function);

// The file with a number of the unit's table, absolute where the compiler said where it ran.
std::string dwarf_file_name(Dwarf_Die& unit, uint64_t file_number);

// The same for a name out of the line table.
std::string absolute_source_path(Dwarf_Die& unit, const char* name);

}  // namespace seep
