// SPDX-License-Identifier: Apache-2.0
//
// The pipeline inside the host, on one page. The hooks call what is declared here and nothing else:
//
//   malloc ─ wants_sample ─ no ─────────────────────────────────────────────> next allocator
//                └ yes: real malloc, then record_allocation:
//                       unwinder ─ trace table ─ live table ─ filter ─ counters ─ (now and then a snapshot)
//   free ─── maybe_recorded ─ no ───────────────────────────────────────────> next allocator
//                └ maybe: take_record: live table ─ counters; then real free
//
// (In exact mode the answers are always yes, and most events take a short cut: exact_path.h.)
//
// A record is removed before the real free and inserted after the real malloc, so an address that the allocator reuses
// is never credited to the wrong trace. Everything is lock-free; what cannot be recorded is counted (LossKind).
// Runs inside the host, any thread, signal handlers. Never calls malloc, never changes errno.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/live_filter.h"
#include "preload/live_table.h"
#include "preload/thread_state.h"

namespace seep {

struct CallerFrame;  // trace_capture.h

[[gnu::visibility("hidden")]] extern constinit LiveFilter live_filter;

// Once, before the filter is asked for the first time. Back to that, where nothing is to be recorded. And for blocks of
// the bootstrap arena, which free() must find.
void start_filter() noexcept;
void match_nothing() noexcept;
[[nodiscard]] bool stick_in_filter(const void* block) noexcept;

// ---- Fast path.

// Counts an allocation of `size` down. True: it is to be sampled, or this cannot be told here: ask `is_sampled`.
[[nodiscard]] __attribute__((always_inline)) inline bool wants_sample(size_t size) noexcept {
  uint64_t left;
  const bool below = __builtin_sub_overflow(static_cast<uint64_t>(thread_state.bytes_until_sample), size + 1, &left);
  // Not stored where it is below: a signal handler that allocates at this point would count down what has wrapped
  // around, and go unrecorded.
  if (__builtin_expect(below, false)) return true;
  thread_state.bytes_until_sample = static_cast<int64_t>(left);
  return false;
}

[[nodiscard]] __attribute__((always_inline)) inline bool maybe_recorded(const void* block) noexcept {
  return __builtin_expect(live_filter.maybe_recorded(block), false);
}

// ---- Slow path.

// The fork handler in the child: leaves the parent's recording, and its sequence of samples.
void record_fork_in_child() noexcept;

// After wants_sample said true: whether this allocation is sampled. Draws the next gap.
[[nodiscard]] bool is_sampled(size_t size) noexcept;

// In the slow side of a hook, first: a leak scan passes over our frames, and then looks here.
inline void hold(const void* block) noexcept { thread_state.in_hand = reinterpret_cast<uintptr_t>(block); }

// After the real allocation returned `block`. `caller`: of the hook, if it knows that.
void record_allocation(void* block, size_t size, const CallerFrame* caller = nullptr) noexcept;

// The same, in exact mode, where the cache has the caller's trace and nothing is to be looked after. False: not so.
[[nodiscard]] bool record_known(void* block, size_t size, const CallerFrame& caller) noexcept;

// A record that was taken out of the live table, and may have to go back.
struct TakenRecord {
  bool taken;
  LiveEntry entry;
  PackedFilter filter;
};

// Before the real free or realloc: takes the record out, if there is one.
[[nodiscard]] TakenRecord take_record(void* block) noexcept;
// The same; what was recorded stands in `record` before it leaves the live table.
void take_record(void* block, TakenRecord& record) noexcept;

// On the stack of a hook while a realloc is under way, for a leak scan to read: what the block holds is in no block of
// the live table.
struct MovingBlock {
  MovingBlock(const void* moved, size_t wanted_bytes) noexcept
      : block(reinterpret_cast<uintptr_t>(moved)), new_bytes(wanted_bytes), before(thread_state.moving) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread_state.moving = reinterpret_cast<uintptr_t>(this);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~MovingBlock() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    thread_state.moving = before;
  }
  MovingBlock(const MovingBlock&) = delete;
  MovingBlock& operator=(const MovingBlock&) = delete;

  // The allocator has moved it.
  void is_at(const void* moved) noexcept {
    new_block = reinterpret_cast<uintptr_t>(moved);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  uintptr_t block;
  uintptr_t new_block = 0;  // 0: not known yet.
  size_t new_bytes;
  uintptr_t before;
  TakenRecord record{};
};

// After the real free or realloc: memory that the allocator has given back is no heap any more.
void note_given_back(const void* block, const TakenRecord& record) noexcept;
// The block is gone for good. `by_free`: not by realloc.
void count_freed(void* block, const TakenRecord& record, bool by_free, const CallerFrame* caller = nullptr) noexcept;
// The realloc failed: the block lives on.
void put_back(void* block, const TakenRecord& record) noexcept;

}  // namespace seep
