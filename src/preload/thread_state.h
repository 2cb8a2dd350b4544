// SPDX-License-Identifier: Apache-2.0
//
// The one thread-local struct. All zeros is a valid beginning, so that a thread may allocate before anything else has
// run on it; trivially destructible, so that it stays valid until the thread is gone, after every other destructor.
// Initial-exec, so that an access is one instruction and never allocates. Runs inside the host.
#pragma once

#include <cstdint>

namespace seep {

struct ThreadState {
  // Below zero after subtracting an allocation's size + 1: take the slow path. Zero at first, so the first allocation
  // of a thread does. In exact mode never positive.
  int64_t bytes_until_sample;
  uint64_t random;           // The sampler's state.
  uint32_t started;          // 0 until the first slow path.
  uint16_t shard;            // Of the counters.
  uint16_t thread_name;      // Its number in the recording,
  uint32_t name_generation;  // in the recording with this number.
  uint32_t slow_events;
  uint16_t scratch;              // Of ScratchPool, the block to try first.
  uint8_t interval_shift;        // Of the sample interval that the running gap was drawn with,
  uint8_t sample_shift;          // and that of the sample being recorded.
  uint16_t leak_check_disabled;  // Not 0: what is allocated now is not to be called leaked.
  // A realloc is under way (a MovingBlock): its block is in no table meanwhile, and may be half moved. Of one that a
  // signal handler jumped out of this stays, and then points below the thread's stack pointer.
  uintptr_t moving;
  // The block that the hook on the stack is about, or the last one was: it may be nowhere else by now.
  uintptr_t in_hand;
  // The last block that was recorded here, while no other allocation has followed: for `temporary`.
  uintptr_t last_recorded;
  int64_t bytes_until_sample_then;
  // Of the stack that was last walked: readable from low to high.
  uintptr_t stack_low, stack_high;
};
static_assert(sizeof(ThreadState) <= 128);

extern constinit thread_local ThreadState thread_state;

}  // namespace seep
