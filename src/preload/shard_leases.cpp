// SPDX-License-Identifier: Apache-2.0
//
// Leases of shards; see shard_leases.h.
#include "preload/shard_leases.h"

#include <cerrno>

#include "record/system.h"

namespace seep {
namespace {

bool is_gone(uint32_t pid, uint32_t tid) {
  return system_call(SYS_tgkill, static_cast<long>(pid), static_cast<long>(tid), 0) == -ESRCH;
}

}  // namespace

unsigned ShardLeases::take(uint32_t pid, uint32_t tid, uint32_t number) noexcept {
  for (unsigned i = 0; i < kAloneShards; ++i) {
    uint32_t holder = holders_[i].load(std::memory_order_relaxed);
    if (holder == tid) return i;  // Of a thread before us that had this number: numbers are unique while they live.
    if (holder == 0 && holders_[i].compare_exchange_strong(holder, tid, std::memory_order_acq_rel)) return i;
  }
  for (unsigned i = 0; i < kAloneShards; ++i) {
    uint32_t holder = holders_[i].load(std::memory_order_relaxed);
    if (is_gone(pid, holder) && holders_[i].compare_exchange_strong(holder, tid, std::memory_order_acq_rel)) return i;
  }
  return kAloneShards + number % kSharedShards;
}

}  // namespace seep
