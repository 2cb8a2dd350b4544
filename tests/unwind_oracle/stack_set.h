// SPDX-License-Identifier: Apache-2.0
//
// Which stacks have been seen: a set of hashes, open addressing, lock-free, in reserved memory that is only touched
// where it is used. Two stacks of one hash are taken for one: of a million, one pair in 40 million runs. Runs inside
// the host, any thread, signal handlers.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/system.h"

namespace seep {

class StackSet {
 public:
  // Once, before use. False: no memory.
  [[nodiscard]] bool start() noexcept {
    slots_ = static_cast<std::atomic<uint64_t>*>(sys::map(
        nullptr, sizeof(uint64_t) << kSlotsLog2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
    return slots_ != nullptr;
  }

  // True: it is new. Where the set is full, nothing is.
  bool add(uint64_t hash) noexcept {
    constexpr uint64_t kMask = (uint64_t{1} << kSlotsLog2) - 1;
    for (uint64_t i = 0, at = hash; i < kMostProbes; ++i, ++at) {
      std::atomic<uint64_t>& slot = slots_[at & kMask];
      uint64_t there = slot.load(std::memory_order_relaxed);
      if (there == 0 && slot.compare_exchange_strong(there, hash, std::memory_order_relaxed)) return true;
      if (there == hash) return false;
    }
    return false;
  }

 private:
  static constexpr unsigned kSlotsLog2 = 23;
  static constexpr unsigned kMostProbes = 1024;
  std::atomic<uint64_t>* slots_ = nullptr;
};

}  // namespace seep
