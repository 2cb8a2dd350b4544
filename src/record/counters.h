// SPDX-License-Identifier: Apache-2.0
//
// What is counted for each trace, in shards so that threads do not fight for a cache line: a thread adds to its own
// shard, a reader sums all. Live is allocated minus freed, also where a block is freed in another shard than it was
// allocated in: single shards may then wrap around, the sum modulo 2^64 does not.
//
// An event is a handful of relaxed additions to aligned words; a process that dies between two of them leaves the words
// of that one event apart, and nothing else. Runs inside the host, any thread, signal handlers; lock-free.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "record/sampling.h"

namespace seep {

inline constexpr unsigned kLifetimeClasses = 8;
inline constexpr unsigned kBirthClasses = 12;
inline constexpr unsigned kShards = 4;

// Ages at free: under 10 ms, 100 ms, 1 s, ... 10000 s, and older.
constexpr unsigned lifetime_class(uint64_t age_ns) {
  unsigned index = 0;
  for (uint64_t bound_ns = 10'000'000; index + 1 < kLifetimeClasses && age_ns >= bound_ns; bound_ns *= 10) ++index;
  return index;
}

// Births since the recording's start: before 1 s, 4 s, 16 s, ... 4^10 s, and later.
constexpr unsigned birth_class(uint64_t birth_ns) {
  unsigned index = 0;
  for (uint64_t bound_ns = 1'000'000'000; index + 1 < kBirthClasses && birth_ns >= bound_ns; bound_ns *= 4) ++index;
  return index;
}

// Sums of doubles that several threads add to. Sampled recordings only, so contention is no matter.
struct WeightedSums {
  std::atomic<uint64_t> blocks, bytes, blocks_variance, bytes_variance;  // Bit patterns of doubles.

  static void add(std::atomic<uint64_t>& sum, double value) noexcept {
    uint64_t old = sum.load(std::memory_order_relaxed);
    while (!sum.compare_exchange_weak(old, std::bit_cast<uint64_t>(std::bit_cast<double>(old) + value),
                                      std::memory_order_relaxed)) {
    }
  }
  void add(const Weight& weight) noexcept {
    add(blocks, weight.blocks);
    add(bytes, weight.bytes);
    add(blocks_variance, weight.blocks_variance);
    add(bytes_variance, weight.bytes_variance);
  }
};

// One shard. The three weighted sums at its end are there in sampled recordings only (RegionHeader::counters_bytes).
struct CounterBlock {
  std::atomic<uint64_t> alloc_blocks, alloc_bytes;
  std::atomic<uint64_t> free_blocks, free_bytes;
  std::atomic<uint64_t> temporary_blocks;
  std::atomic<uint64_t> lifetime_blocks[kLifetimeClasses];
  std::atomic<uint64_t> live_blocks_by_birth[kBirthClasses];
  std::atomic<uint64_t> live_bytes_by_birth[kBirthClasses];
  WeightedSums alloc, freed, temporary;
};

inline constexpr size_t kWeightedBytes = 3 * sizeof(WeightedSums);
inline constexpr size_t kExactCounterBytes = sizeof(CounterBlock) - kWeightedBytes;
static_assert(sizeof(CounterBlock) == (5 + 8 + 12 + 12) * 8 + kWeightedBytes);

inline void add(std::atomic<uint64_t>& counter, uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

// `weight` is null in exact mode.
inline void count_allocation(CounterBlock& shard, uint64_t size_bytes, uint64_t birth_ns,
                             const Weight* weight) noexcept {
  const unsigned birth = birth_class(birth_ns);
  add(shard.alloc_blocks, 1);
  add(shard.alloc_bytes, size_bytes);
  add(shard.live_blocks_by_birth[birth], 1);
  add(shard.live_bytes_by_birth[birth], size_bytes);
  if (weight != nullptr) shard.alloc.add(*weight);
}

inline void count_free(CounterBlock& shard, uint64_t size_bytes, uint64_t birth_ns, uint64_t now_ns, bool temporary,
                       const Weight* weight) noexcept {
  const unsigned birth = birth_class(birth_ns);
  add(shard.free_blocks, 1);
  add(shard.free_bytes, size_bytes);
  add(shard.live_blocks_by_birth[birth], ~uint64_t{0});
  add(shard.live_bytes_by_birth[birth], ~size_bytes + 1);
  add(shard.lifetime_blocks[lifetime_class(now_ns > birth_ns ? now_ns - birth_ns : 0)], 1);
  if (temporary) add(shard.temporary_blocks, 1);
  if (weight == nullptr) return;
  shard.freed.add(*weight);
  if (temporary) shard.temporary.add(*weight);
}

}  // namespace seep
