// SPDX-License-Identifier: Apache-2.0
//
// Aside: what is done seldom, and needs kilobytes of stack or a file descriptor, without using either of the host's.
//
// Its stack may be an alternate one of 8 KiB, of which the kernel's frame has taken a good part, or a thread's of 16.
// And a descriptor of ours in its table, be it for microseconds, shifts the numbers that its other threads get from
// open(2), and may be closed under us by one that closes all it finds; the number is then a file of the host's, and we
// would write to it. So in a process with threads such work is done by a helper that the kernel makes for that long, in
// the same memory, with an empty table of descriptors of its own; the caller waits for it. In a process with one thread
// nobody else can come in between, and the caller does it itself, on another stack.
//
// All signals are blocked meanwhile: no handler would find its way on that stack, nor may one jump off it. Where no
// helper can be had (RLIMIT_NPROC, a sandbox, Linux before 5.9) the caller does it itself, too.
// Runs inside the host, any thread, signal handlers. Must leave no thread and no zombie.
#pragma once

#include <cstddef>

#include "record/system.h"

namespace seep {

// The thread sanitizer, in the unit tests, knows neither of threads nor of stacks that it has not seen made.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kUnderThreadSanitizer = true;
#else
inline constexpr bool kUnderThreadSanitizer = false;
#endif

// Calls function(argument) aside, on the stack that ends at `stack_top` (aligned to 16). All signals must be blocked.
void call_aside_on(char* stack_top, void (*function)(void*), void* argument) noexcept;

// The same for a function object, with a stack made for it. False: there is no memory for one, and it was not called.
template <typename Function>
[[nodiscard]] bool call_aside(Function function) noexcept {
  constexpr size_t kStackBytes = 64 << 10;
  const sys::SignalsBlocked blocked;
  if constexpr (kUnderThreadSanitizer) {
    function();
    return true;
  }
  void* stack = sys::map(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (stack == nullptr) return false;
  call_aside_on(
      static_cast<char*>(stack) + kStackBytes, [](void* called) { (*static_cast<Function*>(called))(); }, &function);
  sys::unmap(stack, kStackBytes);
  return true;
}

}  // namespace seep
