// SPDX-License-Identifier: Apache-2.0
//
// Which thread has which shard of the counters to itself (record/counters.h): each as long as it lives, and then the
// next one that wants one. No thread tells us that it ends; who finds none free asks the kernel which holders are gone.
// Threads beyond kAloneShards share the rest.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/trace_table.h"

namespace seep {

class ShardLeases {
 public:
  // For the calling thread, which is `tid` of the process `pid`. kAloneShards or more: one that is shared; `number`,
  // any number of the thread's, says which.
  [[nodiscard]] unsigned take(uint32_t pid, uint32_t tid, uint32_t number) noexcept;

  // In a fork's child: nobody else is left.
  void clear() noexcept {
    for (auto& holder : holders_) holder.store(0, std::memory_order_relaxed);
  }

 private:
  std::atomic<uint32_t> holders_[kAloneShards]{};  // A tid; 0: free.
};

}  // namespace seep
