// SPDX-License-Identifier: Apache-2.0
//
// What an allocator that is not libc's maps for itself: its heap, and its own lists, which may still name blocks that
// it has handed out (jemalloc's thread caches do). There only live blocks may keep something alive.
//
// Unless the program has blocks of it that we do not know, by functions that we do not hook (jemalloc's mallocx,
// tc_..., mi_...): that is found out from what the objects that are loaded when the program starts import. One that
// looks such a function up by dlsym, or is loaded later, may have pointers that are not seen in such blocks.
//
// Runs inside the host, in calls of the allocator, which holds its locks.
#pragma once

namespace seep {

// Whether `caller` is in the allocator behind us, is not in libc, and all of its blocks are known.
[[nodiscard]] bool is_in_known_allocator(const void* caller) noexcept;

}  // namespace seep
