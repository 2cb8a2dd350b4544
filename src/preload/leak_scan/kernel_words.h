// SPDX-License-Identifier: Apache-2.0
//
// Pointers that only the kernel holds: what epoll_ctl(2) was given as data, and timer_create(2) as the value of a
// signal. The kernel tells them in /proc/self/fdinfo and /proc/self/timers (which needs CONFIG_CHECKPOINT_RESTORE). Not
// told by it, and so not seen: io_uring's user data, values of signals that are queued, asynchronous I/O.
//
// Asked in the process itself: a copy of it has no timers. Runs inside the host, aside; one thread.
#pragma once

#include <cstdint>

#include "preload/leak_scan/growing_array.h"
#include "preload/leak_scan/memory_map.h"

namespace seep::leak_scan {

struct KernelWords {
  explicit KernelWords(PrivateMemory& memory) noexcept : words(memory) {}

  GrowingArray<uint64_t> words;
  bool epoll_read = false;   // False: nothing is known of what the kernel holds there.
  bool timers_read = false;  // The same.
};

// `tid`: a thread of this process that has the host's descriptors. False: there is no memory.
[[nodiscard]] bool read_kernel_words(AsideMemory& aside, uint32_t tid, KernelWords& result) noexcept;

}  // namespace seep::leak_scan
