// SPDX-License-Identifier: Apache-2.0
//
// The part of the current stack that a walk may read: from sp to the end of the mapping it lies in. Found once a thread
// and remembered in its ThreadState; looked up again where sp is elsewhere (fibers, alternate stacks).
//
// glibc lays a thread's control block at the high end of its stack, so for the stacks it made (or was given) the bound
// is the thread pointer, if everything up to it can be read: a system call for each page in use, once. For the main
// thread and for stacks of the program's own the mapping is looked up in /proc/self/maps. No libc call; raw system
// calls only. Runs inside the host, any thread, signal handlers.
#pragma once

#include <cstdint>
#include <cstring>

#include "preload/thread_state.h"

namespace seep {

// Whether eight bytes at `address` can be read now: a system call.
[[nodiscard]] bool is_readable(uintptr_t address) noexcept;

struct StackMemory {
  uintptr_t low, high;  // Nothing may be read outside [low, high).
  // The walk goes by a guess: it may look where no frame is, and there the host may have taken a page's rights, or the
  // page itself, since the bounds were found.
  bool is_guess = false;
  mutable uintptr_t readable_page = 0;  // The page that was looked at last, then.

  [[nodiscard]] bool read(uintptr_t address, uint64_t& value) const noexcept {
    if (address < low || address + sizeof value > high || address + sizeof value < address) return false;
    if (__builtin_expect(is_guess, false) && !can_still_read(address)) return false;
    memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
    return true;
  }

 private:
  [[nodiscard]] __attribute__((noinline, cold)) bool can_still_read(uintptr_t address) const noexcept {
    constexpr uintptr_t kPageMask = ~uintptr_t{4095};
    const bool one_page = ((address ^ (address + 7)) & kPageMask) == 0;
    if (one_page && (address & kPageMask) == readable_page) return true;
    if (!is_readable(address)) return false;
    readable_page = one_page ? address & kPageMask : 0;
    return true;
  }
};

inline constexpr unsigned kStackScratchBytes = 4096;

// For the stack that holds `sp`; `scratch` has kStackScratchBytes. Where nothing can be learned (no /proc, and no
// thread stack of glibc's), what is left of sp's page: enough for the innermost frames.
[[nodiscard]] StackMemory find_stack(ThreadState& thread, uintptr_t sp, char* scratch) noexcept;

struct Mapping {
  uintptr_t start = 0, end = 0;
};
// The mapping in /proc/self/maps that holds `address`; empty if there is none or it cannot be read.
[[nodiscard]] Mapping find_mapping(uintptr_t address, char* scratch) noexcept;

}  // namespace seep
