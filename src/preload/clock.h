// SPDX-License-Identifier: Apache-2.0
//
// Time, from the kernel's own code in the vDSO: libc's clock_gettime may be interposed (libfaketime) and is then
// neither true nor safe to call from a malloc hook. Runs inside the host, any thread, signal handlers.
#pragma once

#include <atomic>
#include <cstdint>

namespace seep {

// Finds the vDSO. Once, before any other function here; without a vDSO these make system calls.
void start_clock() noexcept;

[[nodiscard]] uint64_t monotonic_ns() noexcept;         // To the nanosecond.
[[nodiscard]] uint64_t monotonic_coarse_ns() noexcept;  // Of the last timer tick; a few ns to read.
[[nodiscard]] uint64_t unix_ns() noexcept;

// The coarse time again and again, for less: the kernel shows the time of the last tick to its code in the vDSO, in two
// words, seconds and nanoseconds. Where they are is no contract of its, so they are looked for, by their values, and
// never read as a time: while they are what they were, no tick has come, and the time is what the vDSO said then.
// Where they are not found, or time goes on without them, the vDSO is asked each time.
struct ThreadClock {
  uint64_t seconds, nanoseconds;  // As they stood when the time was read. All zeros: not yet.

  // Whether no tick has come since.
  [[nodiscard]] __attribute__((always_inline)) bool is_right() const noexcept;
};
void find_tick_words() noexcept;  // Once; after start_clock.
// The time, read anew, and told to the clock. `before_ns` is what it was told before.
[[nodiscard]] uint64_t read_coarse_ns(ThreadClock& clock, uint64_t before_ns) noexcept;

[[gnu::visibility("hidden")]] extern constinit std::atomic<const std::atomic<uint64_t>*> tick_words;
inline bool ThreadClock::is_right() const noexcept {
  const std::atomic<uint64_t>* words = tick_words.load(std::memory_order_relaxed);
  return words[0].load(std::memory_order_relaxed) == seconds && words[1].load(std::memory_order_relaxed) == nanoseconds;
}

[[nodiscard]] uint64_t coarse_resolution_ns() noexcept;

}  // namespace seep
