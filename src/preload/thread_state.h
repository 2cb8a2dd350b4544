// SPDX-License-Identifier: Apache-2.0
//
// The one thread-local struct. All zeros is a valid beginning, so that a thread may allocate before anything else has
// run on it; trivially destructible, so that it stays valid until the thread is gone, after every other destructor.
// Initial-exec, so that an access is one instruction and never allocates. Runs inside the host.
#pragma once

#include <bit>
#include <cstdint>

#include "preload/clock.h"

namespace seep {

struct ThreadState {
  static constexpr uint32_t kLookAfterEvents = 256;

  [[nodiscard]] bool is_special() const noexcept { return std::bit_cast<uint32_t>(special) != 0; }
  [[nodiscard]] bool is_alone() const noexcept { return number != 0 && special.shares_counters == 0; }

  // Below zero after subtracting an allocation's size + 1: take the slow path. Zero at first, so the first allocation
  // of a thread does. In exact mode never positive.
  int64_t bytes_until_sample;
  uint64_t random;           // The sampler's state.
  uint32_t number;           // Of the thread in this process, and of its name; 0 until the first slow path.
  uint32_t slow_events;      // That were recorded, or may yet be by the fast path:
  uint32_t events_at_once;   // so many more; then there is more to do.
  uint16_t shard;            // Of the counters.
  uint16_t thread_name;      // Its number in the recording,
  uint32_t name_generation;  // in the recording with this number.
  uint16_t scratch;          // Of ScratchPool, the block to try first.
  uint8_t interval_shift;    // Of the sample interval that the running gap was drawn with,
  uint8_t sample_shift;      // and that of the sample being recorded.
  struct {
    uint16_t leak_check_disabled;  // Not 0: what is allocated now is not to be called leaked.
    uint16_t shares_counters;      // Not 0: others add to the thread's shard, too; or it has none yet.
  } special;
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
  // The time by that clock, since the recording began; and as births stand in the table of blocks by address.
  ThreadClock clock;
  uint64_t now_ns, birth_bits;
};
static_assert(sizeof(ThreadState) <= 128);

[[gnu::visibility("hidden")]] extern constinit thread_local ThreadState thread_state;

}  // namespace seep
