// SPDX-License-Identifier: Apache-2.0
// From an address to the functions that were written there, by DWARF: the innermost inlined one first, the function
// that the compiler emitted last.
//
// Ranges of compilation units and of functions are indexed by their DIEs and not by .debug_aranges, which clang does
// not write. Each unit is indexed when an address first falls into it. One thread a file.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "symbols/frame.h"

namespace seep {

class DwarfFrames {
 public:
  explicit DwarfFrames(Dwarf* dwarf);

  // Frames with function, file, line and `inlined`. Empty where the debug information does not know the address. A
  // single frame without a name: only its line is known.
  std::vector<Frame> find(uint64_t address);

  // Parts of the debug information are in files that each unit names (.dwo).
  bool is_split() const { return split_; }

 private:
  struct Range {
    uint64_t low;
    uint64_t high;  // Exclusive.
    size_t index;   // Of a unit or of a function, in the vector beside.
  };
  struct Unit {
    Dwarf_Die die;        // With the line table,
    Dwarf_Die functions;  // and with the functions: the same, but in a split unit.
    bool indexed = false;
    std::vector<Range> function_ranges;
    std::vector<Dwarf_Die> function_dies;
  };

  static const Range* range_of(const std::vector<Range>& ranges, uint64_t address);
  static void add_ranges(Dwarf_Die& die, size_t index, std::vector<Range>& ranges);
  static void index_functions(Unit& unit);
  const std::string& name_of(Dwarf_Die& function);

  bool split_ = false;
  std::vector<Unit> units_;
  std::vector<Range> unit_ranges_;
  std::unordered_map<const void*, std::string> names_;  // By the DIE's place.
};

}  // namespace seep
