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

#include "preload/unwind/stack_memory.h"
#include "record/system.h"

namespace seep {
namespace {

// No time is like that.
constinit const std::atomic<uint64_t> no_tick_words[2] = {~uint64_t{0}, ~uint64_t{0}};
constexpr uintptr_t kPageBytes = 4096;
constexpr unsigned kMostTimePages = 16;  // Below the vDSO, which may not all be there.
constexpr uint64_t kLongestTickNs = 20'000'000;

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

constinit std::atomic<const std::atomic<uint64_t>*> tick_words{no_tick_words};

namespace {

bool is_tick(uint64_t time_ns, uint64_t seconds, uint64_t nanoseconds) {
  return seconds == time_ns / 1'000'000'000 && nanoseconds == time_ns % 1'000'000'000;
}

const std::atomic<uint64_t>* find_in_page(uintptr_t page) {
  const auto* words = reinterpret_cast<const std::atomic<uint64_t>*>(page);
  const uint64_t now_ns = monotonic_coarse_ns();
  for (size_t i = 0; i + 1 < kPageBytes / sizeof(uint64_t); ++i) {
    if (is_tick(now_ns, words[i].load(std::memory_order_relaxed), words[i + 1].load(std::memory_order_relaxed))) {
      return words + i;
    }
  }
  return nullptr;
}

}  // namespace

void find_tick_words() noexcept {
  const uintptr_t code = getauxval(AT_SYSINFO_EHDR);
  if (code == 0) return;
  for (unsigned attempt = 0; attempt < 2; ++attempt) {  // A tick may come in between.
    for (unsigned i = 1; i <= kMostTimePages; ++i) {
      const uintptr_t page = code - i * kPageBytes;
      const std::atomic<uint64_t>* words = is_readable(page) ? find_in_page(page) : nullptr;
      if (words != nullptr) return tick_words.store(words, std::memory_order_relaxed);
    }
  }
}

// The words are read before the time: if a tick comes in between, they will differ the next time.
uint64_t read_coarse_ns(ThreadClock& clock, uint64_t before_ns) noexcept {
  const std::atomic<uint64_t>* words = tick_words.load(std::memory_order_relaxed);
  const uint64_t seconds = words[0].load(std::memory_order_relaxed);
  const uint64_t nanoseconds = words[1].load(std::memory_order_relaxed);
  const uint64_t now_ns = monotonic_coarse_ns();
  if (words == no_tick_words) return now_ns;
  const bool unchanged = seconds == clock.seconds && nanoseconds == clock.nanoseconds;
  const uint64_t told_ns = seconds * 1'000'000'000 + nanoseconds;
  if ((unchanged && now_ns > before_ns + kLongestTickNs) || now_ns - told_ns > kLongestTickNs) {
    tick_words.store(no_tick_words, std::memory_order_relaxed);
    return now_ns;
  }
  clock = {seconds, nanoseconds};
  return now_ns;
}

uint64_t coarse_resolution_ns() noexcept {
  timespec resolution{};
  system_call(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, sys::as_long(&resolution));
  return static_cast<uint64_t>(resolution.tv_nsec);
}

}  // namespace seep
