// SPDX-License-Identifier: Apache-2.0
//
// Waiting until a word changes, between threads and helpers of one memory. Raw system calls: no cancellation point and
// no errno. Runs inside the host, any thread, signal handlers.
#pragma once

#include <linux/futex.h>
#include <time.h>

#include <atomic>
#include <climits>
#include <cstdint>

#include "record/system.h"

namespace seep::leak_scan {

// Until the word is not `seen` any more, somebody woke us, or so much time has passed; may come back earlier.
inline void wait_while(const std::atomic<uint32_t>& word, uint32_t seen, uint64_t most_ns) noexcept {
  const timespec time{static_cast<time_t>(most_ns / 1'000'000'000), static_cast<long>(most_ns % 1'000'000'000)};
  system_call(SYS_futex, sys::as_long(&word), FUTEX_WAIT_PRIVATE, seen, sys::as_long(&time));
}

inline void wake_all(const std::atomic<uint32_t>& word) noexcept {
  system_call(SYS_futex, sys::as_long(&word), FUTEX_WAKE_PRIVATE, INT_MAX);
}

}  // namespace seep::leak_scan
