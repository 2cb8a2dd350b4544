// SPDX-License-Identifier: Apache-2.0
//
// The rare sides of a trace's counters; see counters.h.
#include "record/counters.h"

namespace seep {
namespace {

uint64_t load(const std::atomic<uint64_t>& counter) { return counter.load(std::memory_order_relaxed); }

// What of `total` stands nowhere yet.
template <size_t N>
uint64_t rest_of(uint64_t total, const std::atomic<uint64_t> (&written_down)[N]) {
  for (const auto& part : written_down) total -= load(part);
  return total;
}

}  // namespace

void enter_birth_class(CounterBlock& shard, uint64_t now_ns) noexcept {
  const unsigned entered = birth_class(now_ns), present = present_class(shard);
  if (entered != present) {
    add_alone(shard.born_blocks[present],
              rest_of(load(shard.alloc_blocks) - load(shard.free_blocks), shard.born_blocks));
    add_alone(shard.born_bytes[present], rest_of(load(shard.alloc_bytes) - load(shard.free_bytes), shard.born_bytes));
  }
  shard.class_end_ns.store(0, std::memory_order_relaxed);  // A handler in between counts each birth where it belongs.
  shard.class_start_ns.store(entered == 0 ? 0 : birth_class_end_ns(entered - 1), std::memory_order_relaxed);
  shard.class_end_ns.store(birth_class_end_ns(entered), std::memory_order_release);
}

// What is a part of a count is read before it, as it is written after it.
void TraceSums::add(const CounterBlock& shard) noexcept {
  uint64_t older = 0;
  for (unsigned i = 1; i < kLifetimeClasses; ++i) {
    const uint64_t blocks = load(shard.lifetime_blocks[i - 1]);
    lifetime_blocks[i] += blocks;
    older += blocks;
  }
  temporary_blocks += load(shard.temporary_blocks);
  const uint64_t freed_blocks = load(shard.free_blocks), freed_bytes = load(shard.free_bytes);
  const uint64_t blocks = load(shard.alloc_blocks), bytes = load(shard.alloc_bytes);
  free_blocks += freed_blocks;  // Frees first: live is never seen negative at rest.
  free_bytes += freed_bytes;
  alloc_blocks += blocks;
  alloc_bytes += bytes;
  lifetime_blocks[0] += freed_blocks - older;
  const unsigned present = present_class(shard);
  live_blocks_by_birth[present] += rest_of(blocks - freed_blocks, shard.born_blocks);
  live_bytes_by_birth[present] += rest_of(bytes - freed_bytes, shard.born_bytes);
  for (unsigned i = 0; i < kBirthClasses; ++i) {
    live_blocks_by_birth[i] += load(shard.born_blocks[i]);
    live_bytes_by_birth[i] += load(shard.born_bytes[i]);
  }
  if (load(shard.last_allocated_ns) > last_allocated_ns) last_allocated_ns = load(shard.last_allocated_ns);
}

}  // namespace seep
