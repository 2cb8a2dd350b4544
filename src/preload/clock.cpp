// SPDX-License-Identifier: Apache-2.0
//
// The vDSO's clock; see clock.h. The vDSO is an ELF image that the kernel maps; its one symbol that we need is looked
// up in its dynamic symbol table (vdso(7), ELF gABI chapter 5).
#include "preload/clock.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <time.h>

#include <atomic>
#include <cstring>

#include "record/system.h"

namespace seep {
namespace {

using ClockFunction = int (*)(clockid_t, timespec*);
constinit std::atomic<ClockFunction> vdso_clock{nullptr};

struct DynamicSymbols {
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  const uint32_t* hash = nullptr;  // DT_HASH: its second word is the number of symbols.
};

DynamicSymbols dynamic_symbols(uintptr_t base) {
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(base);
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + header->e_phoff);
  uintptr_t bias = 0;
  const ElfW(Dyn)* dynamic = nullptr;
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type == PT_LOAD && bias == 0) bias = base + segments[i].p_offset - segments[i].p_vaddr;
    if (segments[i].p_type == PT_DYNAMIC) dynamic = reinterpret_cast<const ElfW(Dyn)*>(base + segments[i].p_offset);
  }
  DynamicSymbols found;
  for (; dynamic != nullptr && dynamic->d_tag != DT_NULL; ++dynamic) {
    const uintptr_t address = bias + dynamic->d_un.d_ptr;
    if (dynamic->d_tag == DT_SYMTAB) found.symbols = reinterpret_cast<const ElfW(Sym)*>(address);
    if (dynamic->d_tag == DT_STRTAB) found.names = reinterpret_cast<const char*>(address);
    if (dynamic->d_tag == DT_HASH) found.hash = reinterpret_cast<const uint32_t*>(address);
  }
  return found;
}

uint64_t read_clock(clockid_t clock) noexcept {
  timespec now{};
  const ClockFunction function = vdso_clock.load(std::memory_order_relaxed);
  if (function == nullptr || function(clock, &now) != 0) system_call(SYS_clock_gettime, clock, sys::as_long(&now));
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

void start_clock() noexcept {
  const uintptr_t base = getauxval(AT_SYSINFO_EHDR);
  if (base == 0) return;
  const DynamicSymbols table = dynamic_symbols(base);
  if (table.symbols == nullptr || table.names == nullptr || table.hash == nullptr) return;
  for (uint32_t i = 0; i < table.hash[1]; ++i) {
    if (strcmp(table.names + table.symbols[i].st_name, "__vdso_clock_gettime") != 0) continue;
    const uintptr_t address = base + table.symbols[i].st_value;
    vdso_clock.store(reinterpret_cast<ClockFunction>(address), std::memory_order_relaxed);
    return;
  }
}

uint64_t monotonic_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }
uint64_t monotonic_coarse_ns() noexcept { return read_clock(CLOCK_MONOTONIC_COARSE); }
uint64_t unix_ns() noexcept { return read_clock(CLOCK_REALTIME); }

uint64_t coarse_resolution_ns() noexcept {
  timespec resolution{};
  system_call(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, sys::as_long(&resolution));
  return static_cast<uint64_t>(resolution.tv_nsec);
}

}  // namespace seep
