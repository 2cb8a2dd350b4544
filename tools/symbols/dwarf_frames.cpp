// SPDX-License-Identifier: Apache-2.0
// Indexing units and functions, and walking the tree of inlined calls.
#include "symbols/dwarf_frames.h"

#include <dwarf.h>

#include <algorithm>

#include "symbols/dwarf_names.h"

namespace seep {
namespace {

// Deeper nesting than any compiler writes: a broken file must not exhaust the stack.
constexpr int kMaximumNesting = 256;

template <typename Visit>
void for_each_child(Dwarf_Die& parent, Visit visit) {
  Dwarf_Die child;
  if (dwarf_child(&parent, &child) != 0) return;
  do {
    visit(child);
  } while (dwarf_siblingof(&child, &child) == 0);
}

bool has_addresses(Dwarf_Die& die) {
  return dwarf_hasattr(&die, DW_AT_low_pc) != 0 || dwarf_hasattr(&die, DW_AT_ranges) != 0;
}

// Functions may stand in namespaces, classes, and in other functions (lambdas, local classes).
void collect_functions(Dwarf_Die& parent, int nesting, std::vector<Dwarf_Die>& functions) {
  if (nesting > kMaximumNesting) return;
  for_each_child(parent, [&](Dwarf_Die& child) {
    if (dwarf_tag(&child) == DW_TAG_subprogram && has_addresses(child)) functions.push_back(child);
    if (dwarf_haschildren(&child) > 0) collect_functions(child, nesting + 1, functions);
  });
}

// The inlined calls that the address is in, outermost first.
void collect_inlined(Dwarf_Die& scope, uint64_t address, int nesting, std::vector<Dwarf_Die>& calls) {
  if (nesting > kMaximumNesting) return;
  for_each_child(scope, [&](Dwarf_Die& child) {
    switch (dwarf_tag(&child)) {
      case DW_TAG_inlined_subroutine:
        if (dwarf_haspc(&child, address) <= 0) return;
        calls.push_back(child);
        break;
      case DW_TAG_lexical_block:
      case DW_TAG_try_block:
      case DW_TAG_catch_block:
        if (has_addresses(child) && dwarf_haspc(&child, address) <= 0) return;
        break;
      default: return;
    }
    collect_inlined(child, address, nesting + 1, calls);
  });
}

uint64_t number_attribute(Dwarf_Die& die, unsigned int name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_attr(&die, name, &attribute) == nullptr || dwarf_formudata(&attribute, &value) != 0) return 0;
  return value;
}

void set_line(Dwarf_Die& unit, uint64_t address, Frame& frame) {
  Dwarf_Line* line = dwarf_getsrc_die(&unit, address);
  int number = 0;
  if (line == nullptr || dwarf_lineno(line, &number) != 0) return;
  frame.line = number > 0 ? static_cast<uint32_t>(number) : 0;
  frame.file = absolute_source_path(unit, dwarf_linesrc(line, nullptr, nullptr));
}

}  // namespace

DwarfFrames::DwarfFrames(Dwarf* dwarf) {
  Dwarf_CU* handle = nullptr;
  Dwarf_Die die, split_die;
  uint8_t type = 0;
  while (dwarf_get_units(dwarf, handle, &handle, nullptr, &type, &die, &split_die) == 0) {
    if (type == DW_UT_type || type == DW_UT_split_type || type == DW_UT_partial) continue;
    if (dwarf_tag(&die) != DW_TAG_compile_unit && dwarf_tag(&die) != DW_TAG_skeleton_unit) continue;
    split_ |= type == DW_UT_skeleton;
    const bool split = type == DW_UT_skeleton && split_die.addr != nullptr;
    units_.push_back({.die = die, .functions = split ? split_die : die});
    const size_t before = unit_ranges_.size();
    add_ranges(die, units_.size() - 1, unit_ranges_);
    if (unit_ranges_.size() != before) continue;
    // A unit that does not say where it is: its functions do.
    index_functions(units_.back());
    for (const Range& range : units_.back().function_ranges) {
      unit_ranges_.push_back({range.low, range.high, units_.size() - 1});
    }
  }
  std::sort(unit_ranges_.begin(), unit_ranges_.end(),
            [](const Range& left, const Range& right) { return left.low < right.low; });
}

std::vector<Frame> DwarfFrames::find(uint64_t address) {
  const Range* unit_range = range_of(unit_ranges_, address);
  if (unit_range == nullptr) return {};
  Unit& unit = units_[unit_range->index];
  if (!unit.indexed) index_functions(unit);
  Frame frame;
  set_line(unit.die, address, frame);
  const Range* function_range = range_of(unit.function_ranges, address);
  if (function_range == nullptr) return frame.line == 0 ? std::vector<Frame>() : std::vector<Frame>{frame};

  Dwarf_Die function = unit.function_dies[function_range->index];
  std::vector<Dwarf_Die> calls;
  collect_inlined(function, address, 0, calls);
  std::vector<Frame> frames;
  // From the inside out: a call's own attributes say where in the next outer function it stands.
  for (auto call = calls.rbegin(); call != calls.rend(); ++call) {
    frame.function = name_of(*call);
    frame.inlined = true;
    frames.push_back(frame);
    frame = Frame();
    frame.file = dwarf_file_name(unit.die, number_attribute(*call, DW_AT_call_file));
    frame.line = static_cast<uint32_t>(number_attribute(*call, DW_AT_call_line));
  }
  frame.function = name_of(function);
  frames.push_back(frame);
  for (Frame& found : frames) found.named = !found.function.empty();
  return frames;
}

const DwarfFrames::Range* DwarfFrames::range_of(const std::vector<Range>& ranges, uint64_t address) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), address,
                                      [](uint64_t value, const Range& range) { return value < range.low; });
  if (after == ranges.begin() || address >= std::prev(after)->high) return nullptr;
  return &*std::prev(after);
}

void DwarfFrames::add_ranges(Dwarf_Die& die, size_t index, std::vector<Range>& ranges) {
  Dwarf_Addr base = 0, low = 0, high = 0;
  ptrdiff_t position = 0;
  while ((position = dwarf_ranges(&die, position, &base, &low, &high)) > 0) {
    // Functions that the linker dropped keep a range at 0.
    if (low != 0 && low < high) ranges.push_back({low, high, index});
  }
}

void DwarfFrames::index_functions(Unit& unit) {
  unit.indexed = true;
  collect_functions(unit.functions, 0, unit.function_dies);
  for (size_t index = 0; index < unit.function_dies.size(); ++index) {
    add_ranges(unit.function_dies[index], index, unit.function_ranges);
  }
  std::sort(unit.function_ranges.begin(), unit.function_ranges.end(),
            [](const Range& left, const Range& right) { return left.low < right.low; });
}

// Of the abstract function, so that its inlined copies are named once.
const std::string& DwarfFrames::name_of(Dwarf_Die& function) {
  Dwarf_Attribute attribute;
  Dwarf_Die origin = function;
  Dwarf_Die referred;
  if (dwarf_attr(&function, DW_AT_abstract_origin, &attribute) != nullptr &&
      dwarf_formref_die(&attribute, &referred) != nullptr) {
    origin = referred;
  }
  const auto [entry, added] = names_.try_emplace(origin.addr);
  if (added) entry->second = dwarf_function_name(origin);
  return entry->second;
}

}  // namespace seep
