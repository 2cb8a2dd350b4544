// SPDX-License-Identifier: Apache-2.0
//
// The part of the current stack that a walk may read: from sp to the end of the stack. For a stack of glibc's threads
// that is the thread pointer, since glibc lays a thread's control block at the high end, and for the process's first
// stack it is where the kernel put its arguments; both only where everything up to there can be read, which is asked
// once, by a system call for each page in use, and remembered in the ThreadState. Of any other stack (fibers, alternate
// ones) nothing is known: there each page is asked for when a walk comes to it. No file of /proc is read, and so no
// descriptor needed. Runs inside the host, any thread, signal handlers; raw system calls only.
#pragma once

#include <cstdint>
#include <cstring>

#include "preload/thread_state.h"

namespace seep {

// Whether eight bytes at `address` can be read now: a system call.
[[nodiscard]] bool is_readable(uintptr_t address) noexcept;

struct StackMemory {
  uintptr_t low, high;  // Nothing may be read outside [low, high).
  // Nothing is known of the stack, or the walk goes by a guess: then it may look where no frame is, and there the host
  // may have taken a page's rights, or the page itself, since the bounds were found. Each page is asked for.
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

// Where the kernel laid the arguments of the process, above its first stack (proc(5), stat's startstack); 0: not known,
// and that stack is one of which nothing is known. Set once, before use.
[[gnu::visibility("hidden")]] extern constinit uintptr_t process_stack_start;

// For the stack that holds `sp`.
[[nodiscard]] StackMemory find_stack(ThreadState& thread, uintptr_t sp) noexcept;

}  // namespace seep
