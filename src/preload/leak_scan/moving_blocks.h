// SPDX-License-Identifier: Apache-2.0
//
// Blocks that a realloc is moving while the scan looks: in no live block, and in part overwritten already where the old
// one has been freed inside realloc. What they hold is a root, at the old place and, where it can be told, at the new.
//
// Runs inside the host while its other threads stand still; one thread.
#pragma once

#include "preload/leak_scan/ranges.h"
#include "preload/leak_scan/stopped_threads.h"

namespace seep::leak_scan {

// A member of the thread's ThreadState; 0 where it has none.
[[nodiscard]] uint64_t value_in_thread(const StoppedThread& thread, size_t member_offset) noexcept;

// Adds the memory of all such blocks. False: no memory of ours to note it.
// `glibc_heap`: the allocator is glibc's, whose blocks have their size before them.
[[nodiscard]] bool find_moving_blocks(const StoppedThreads& threads, bool glibc_heap,
                                      GrowingArray<Range>& ranges) noexcept;

}  // namespace seep::leak_scan
