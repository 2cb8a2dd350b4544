// SPDX-License-Identifier: Apache-2.0
//
// Where the stacks of threads lie, by what glibc keeps at their high end. A thread's stack, its static TLS and its
// struct pthread are one piece of memory:
//
//     low | guard | unused ... | live frames | static TLS | struct pthread: tcb == self == its own address, ... | high
//                              ^ sp - red zone             ^ thread pointer
//
// struct pthread says where the piece begins and how long it is (two words that follow each other), its thread's tid
// (0 when that has ended, -1 when it was joined), and, when it is detached, holds its own address once more. The places
// of these are found by what stands there, not by the version of glibc.
//
// Runs inside the host while its other threads stand still; one thread. Where something is not as expected nothing is
// left out: then stale pointers may keep a block alive, and no block is lost.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/leak_scan/growing_array.h"
#include "preload/leak_scan/memory_map.h"
#include "preload/leak_scan/ranges.h"

namespace seep::leak_scan {

struct LiveThread {
  uint32_t tid;
  uint64_t sp;              // Nothing below it, less the red zone, is in use.
  uint64_t thread_pointer;  // 0: none.
  bool in_call = false;     // It has called a function, and with that given up its red zone.
};

class ThreadStacks {
 public:
  ThreadStacks(const LiveThread* threads, uint64_t thread_count, const GrowingArray<Mapping>& mappings) noexcept
      : threads_(threads), thread_count_(thread_count), mappings_(mappings) {}

  // Adds to `live` the live part of each thread's stack with all that lies at its high end, to `stale` the rest of it
  // and the stacks that glibc keeps of threads that have ended, to `words` the starts of the DTVs of both. False: no
  // memory.
  [[nodiscard]] bool find(RangeSet& live, RangeSet& stale, GrowingArray<uint64_t>& words) noexcept;

  [[nodiscard]] uint32_t unknown_stacks() const noexcept { return unknown_stacks_; }  // Of live threads.
  [[nodiscard]] uint32_t ended_stacks() const noexcept { return ended_stacks_; }

 private:
  static constexpr size_t kMostControlBytes = 8192;  // Of struct pthread, with some room.
  struct ControlBlock {
    uint64_t address;
    uint64_t words[kMostControlBytes / sizeof(uint64_t)];
    size_t word_count;
  };

  [[nodiscard]] const Mapping* mapping_of(uint64_t address) const noexcept;
  [[nodiscard]] bool is_mapped_throughout(uint64_t start, uint64_t end) const noexcept;
  [[nodiscard]] bool is_live(uint64_t thread_pointer) const noexcept;
  [[nodiscard]] bool read_control_block(uint64_t address, uint64_t end) noexcept;
  [[nodiscard]] bool find_stack(Range& stack) const noexcept;
  void find_tid_offset() noexcept;
  [[nodiscard]] bool add_live(const LiveThread& thread, RangeSet& live, RangeSet& stale,
                              GrowingArray<uint64_t>& words) noexcept;
  [[nodiscard]] bool add_ended(const Mapping& mapping, RangeSet& live, RangeSet& stale,
                               GrowingArray<uint64_t>& words) noexcept;
  [[nodiscard]] uint64_t find_control_block(uint64_t end, uint64_t low) noexcept;
  [[nodiscard]] bool may_be_awaited() const noexcept;

  const LiveThread* threads_;
  uint64_t thread_count_;
  const GrowingArray<Mapping>& mappings_;
  ControlBlock block_;
  size_t tid_offset_ = 0;  // 0: not known.
  uint32_t unknown_stacks_ = 0;
  uint32_t ended_stacks_ = 0;
};

}  // namespace seep::leak_scan
