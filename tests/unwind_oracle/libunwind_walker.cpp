// SPDX-License-Identifier: Apache-2.0
//
// libunwind's walk; see libunwind_walker.h.
#include "libunwind_walker.h"

#include <dlfcn.h>

#include <cstring>

#include "preload/unwind/stack_memory.h"

namespace seep {
namespace {

// Of libunwind-x86_64.so, exported for writers of accessors, in no header: libunwind's own search in .eh_frame_hdr.
using SearchUnwindTable = int (*)(unw_addr_space_t, unw_word_t, unw_dyn_info_t*, unw_proc_info_t*, int, void*);
constinit SearchUnwindTable search_unwind_table = nullptr;

struct Target {
  const Registers& registers;
  ReadablePages& pages;
  bool had_tables;  // In the last step.
};

Target& target_of(void* argument) { return *static_cast<Target*>(argument); }

// .eh_frame_hdr (LSB 5.0, 10.6.2), as every linker writes it: version 1, pointer to .eh_frame by 4 bytes, count by 4
// bytes, table of pairs relative to the header.
int find_procedure(unw_addr_space_t space, unw_word_t pc, unw_proc_info_t* procedure, int needs_info, void* argument) {
  Target& target = target_of(argument);
  target.had_tables = false;
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(pc), &object) != 0 || object.dlfo_eh_frame == nullptr) {
    return -UNW_ENOINFO;
  }
  const auto* header = static_cast<const uint8_t*>(object.dlfo_eh_frame);
  constexpr uint8_t kUsual[] = {1, 0x1B, 0x03, 0x3B};
  if (memcmp(header, kUsual, sizeof kUsual) != 0) return -UNW_ENOINFO;
  uint32_t count;
  memcpy(&count, header + 8, sizeof count);
  unw_dyn_info_t tables{};
  tables.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  tables.start_ip = reinterpret_cast<unw_word_t>(object.dlfo_map_start);
  tables.end_ip = reinterpret_cast<unw_word_t>(object.dlfo_map_end);
  tables.u.rti.segbase = reinterpret_cast<unw_word_t>(header);
  tables.u.rti.table_data = reinterpret_cast<unw_word_t>(header + 12);
  tables.u.rti.table_len = count;  // In words of 8 bytes, as a pair is.
  const int result = search_unwind_table(space, pc, &tables, procedure, needs_info, argument);
  target.had_tables = result == 0;
  return result;
}

void release_procedure(unw_addr_space_t, unw_proc_info_t*, void*) {}
int no_dynamic_procedures(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

int access_memory(unw_addr_space_t, unw_word_t address, unw_word_t* value, int writes, void* argument) {
  uint64_t read;
  if (writes != 0 || !target_of(argument).pages.read(address, read)) return -UNW_EINVAL;
  *value = read;
  return 0;
}

int access_register(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int writes, void* argument) {
  const Registers& registers = target_of(argument).registers;
  if (writes != 0 || number < 0 || !registers.has(static_cast<unsigned>(number))) return -UNW_EBADREG;
  *value = registers.value[number];
  return 0;
}

int access_vector_register(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }
int never_resume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }
int no_name(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

template <typename Function>
bool find(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

Cut cut_of(int error) {
  switch (error) {
    case 0: return Cut::kWhole;
    case -UNW_ENOINFO: return Cut::kNoUnwindInformation;
    case -UNW_EINVAL: return Cut::kOutsideStack;  // Of access_memory.
    default: return Cut::kBadUnwindInformation;
  }
}

}  // namespace

void ReadablePages::forget() noexcept { memset(known_, 0, sizeof known_); }

bool ReadablePages::can_read(uintptr_t address) noexcept {
  const uintptr_t page = address & ~uintptr_t{4095};
  uintptr_t& known = known_[page / 4096 % kPages];
  if (known == page && page != 0) return true;
  if (!is_readable(address & ~uintptr_t{7})) return false;
  known = page;
  return true;
}

bool ReadablePages::read(uintptr_t address, uint64_t& value) noexcept {
  if (!can_read(address) || !can_read(address + sizeof value - 1)) return false;
  memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return true;
}

bool LibunwindWalker::start() noexcept {
  void* library = dlopen("libunwind-x86_64.so.8", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  const bool found = find(library, "_Ux86_64_dwarf_search_unwind_table", search_unwind_table) &&
                     find(library, "_Ux86_64_create_addr_space", call_.create_addr_space) &&
                     find(library, "_Ux86_64_set_caching_policy", call_.set_caching_policy) &&
                     find(library, "_Ux86_64_init_remote", call_.init_remote) &&
                     find(library, "_Ux86_64_step", call_.step) && find(library, "_Ux86_64_get_reg", call_.get_reg) &&
                     find(library, "_Ux86_64_is_signal_frame", call_.is_signal_frame);
  if (!found) return false;
  static constinit unw_accessors_t accessors = {
      find_procedure,  release_procedure,      no_dynamic_procedures, access_memory,
      access_register, access_vector_register, never_resume,          no_name};
  address_space_ = call_.create_addr_space(&accessors, 0);
  return address_space_ != nullptr && call_.set_caching_policy(address_space_, UNW_CACHE_NONE) == 0;
}

void LibunwindWalker::read_registers(unw_cursor_t& cursor, Registers& found) const noexcept {
  const auto read = [&](unsigned number) {
    unw_word_t value;
    if (call_.get_reg(&cursor, static_cast<int>(number), &value) == 0) found.set(number, value);
  };
  for (const unsigned number : kPreservedRegisters) read(number);
  read(kDwarfStackPointer);
}

LibunwindWalker::Result LibunwindWalker::walk(const Registers& registers, ReadablePages& pages, uintptr_t* pcs,
                                              uint32_t limit, uint32_t looked_at, Registers& found) const noexcept {
  found.valid = 0;
  pages.forget();
  Target target{registers, pages, true};
  Result result{0, Cut::kBadUnwindInformation, 0, UINT32_MAX, true};
  unw_cursor_t cursor;
  result.error = call_.init_remote(&cursor, address_space_, &target);
  if (result.error < 0) return result;
  bool is_exact = true;  // The pc is that of an interrupted instruction, not a return address.
  for (int stepped = 1; stepped > 0;) {
    unw_word_t pc = 0;
    result.error = call_.get_reg(&cursor, UNW_REG_IP, &pc);
    if (result.error < 0 || pc == 0) break;  // Behind the outermost frame.
    if (result.count == looked_at) read_registers(cursor, found);
    if (result.count == limit) {
      result.cut = Cut::kDepthLimit;
      return result;
    }
    pcs[result.count++] = pc - (is_exact ? 0 : 1);
    target.had_tables = false;
    stepped = call_.step(&cursor);
    result.ends_in_tables = target.had_tables;
    if (!target.had_tables && result.first_guess == UINT32_MAX) result.first_guess = result.count;
    is_exact = call_.is_signal_frame(&cursor) > 0;
    result.error = stepped;
  }
  if (result.first_guess == UINT32_MAX) result.first_guess = result.count;
  result.cut = cut_of(result.error < 0 ? result.error : 0);
  return result;
}

}  // namespace seep
