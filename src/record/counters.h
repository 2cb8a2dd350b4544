// SPDX-License-Identifier: Apache-2.0
//
// What is counted for each trace, in shards so that threads do not fight for a cache line: a thread adds to its own
// shard, a reader sums all. Live is allocated minus freed, also where a block is freed in another shard than it was
// allocated in: single shards may then wrap around, the sum modulo 2^64 does not.
//
// A shard of exact mode is mostly one thread's alone (shard_leases.h), which adds to it without locked instructions
// (`add_alone`). So that an event costs few of these, what is usual is not counted but follows:
//
//     freed within 10 ms          = free_blocks - the other lifetimes
//     live, born in present class = alloc_blocks - free_blocks - what stands in born_blocks[]     (bytes likewise)
//
// A shard's present class is the one that its allocations fall into now; when time has gone beyond it, what followed
// for it is written down (`enter_birth_class`): first the sum, then the class, so that a reader is right in between.
//
// An event is a handful of additions to aligned words; a process that dies between two of them leaves the words of that
// one event apart, and nothing else. Runs inside the host, any thread, signal handlers; lock-free.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "processor/processor.h"
#include "record/sampling.h"

namespace seep {

inline constexpr unsigned kLifetimeClasses = 8;
inline constexpr unsigned kBirthClasses = 12;
inline constexpr uint64_t kFirstLifetimeBoundNs = 10'000'000;

// Ages at free: under 10 ms, 100 ms, 1 s, ... 10000 s, and older.
constexpr unsigned lifetime_class(uint64_t age_ns) {
  unsigned index = 0;
  for (uint64_t bound_ns = kFirstLifetimeBoundNs; index + 1 < kLifetimeClasses && age_ns >= bound_ns; bound_ns *= 10)
    ++index;
  return index;
}

// Births since the recording's start: before 1 s, 4 s, 16 s, ... 4^10 s, and later. The class n ends before
// birth_class_end_ns(n).
constexpr uint64_t birth_class_end_ns(unsigned index) {
  return index + 1 < kBirthClasses ? uint64_t{1'000'000'000} << (2 * index) : ~uint64_t{0};
}
constexpr unsigned birth_class(uint64_t birth_ns) {
  unsigned index = 0;
  while (index + 1 < kBirthClasses && birth_ns >= birth_class_end_ns(index)) ++index;
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
  // A cache line that each event touches.
  std::atomic<uint64_t> alloc_blocks, alloc_bytes;
  std::atomic<uint64_t> free_blocks, free_bytes;
  std::atomic<uint64_t>
      headroom_bytes;  // May be live more than now before the trace's peak is to be looked at. Signed.
  std::atomic<uint64_t> last_allocated_ns;
  std::atomic<uint64_t> class_start_ns, class_end_ns;  // Births of the present class. Both 0: it is the first.
  // And one that frees of older blocks do.
  std::atomic<uint64_t> temporary_blocks;
  std::atomic<uint64_t> lifetime_blocks[kLifetimeClasses - 1];  // From the second class on.
  std::atomic<uint64_t> born_blocks[kBirthClasses];
  std::atomic<uint64_t> born_bytes[kBirthClasses];
  WeightedSums alloc, freed, temporary;
};

inline constexpr size_t kWeightedBytes = 3 * sizeof(WeightedSums);
inline constexpr size_t kExactCounterBytes = sizeof(CounterBlock) - kWeightedBytes;
static_assert(kExactCounterBytes % 64 == 0);

inline void add(std::atomic<uint64_t>& counter, uint64_t value) noexcept {
  counter.fetch_add(value, std::memory_order_relaxed);
}

// Ways to add to a shard: one that is shared, and one that is this thread's alone.
struct AddLocked {
  void operator()(std::atomic<uint64_t>& counter, uint64_t value) const noexcept { add(counter, value); }
};
struct AddAlone {
  void operator()(std::atomic<uint64_t>& counter, uint64_t value) const noexcept { add_alone(counter, value); }
};

// By the shard's one thread: allocations at `now_ns` are of the class that has begun meanwhile.
void enter_birth_class(CounterBlock& shard, uint64_t now_ns) noexcept;

inline unsigned present_class(const CounterBlock& shard) noexcept {
  const uint64_t end_ns = shard.class_end_ns.load(std::memory_order_relaxed);
  return end_ns == 0 ? 0 : birth_class(end_ns - 1);
}

// A birth that is not of the shard's present class: `blocks` and `bytes` are added, modulo 2^64.
template <typename Add>
inline void count_birth(CounterBlock& shard, uint64_t birth_ns, uint64_t blocks, uint64_t bytes, Add add) noexcept {
  const unsigned born = birth_class(birth_ns);
  if (born == present_class(shard)) return;
  add(shard.born_blocks[born], blocks);
  add(shard.born_bytes[born], bytes);
}

inline bool is_of_present_class(const CounterBlock& shard, uint64_t birth_ns) noexcept {
  const uint64_t start = shard.class_start_ns.load(std::memory_order_relaxed);
  return birth_ns - start < shard.class_end_ns.load(std::memory_order_relaxed) - start;
}

// `weight` is null in exact mode. Births first, and lifetimes after the count that they are a part of.
template <typename Add = AddLocked>
inline void count_allocation(CounterBlock& shard, uint64_t size_bytes, uint64_t birth_ns, const Weight* weight,
                             Add add = {}) noexcept {
  if (!is_of_present_class(shard, birth_ns)) count_birth(shard, birth_ns, 1, size_bytes, add);
  add(shard.alloc_blocks, 1);
  add(shard.alloc_bytes, size_bytes);
  shard.last_allocated_ns.store(birth_ns, std::memory_order_relaxed);
  if (weight != nullptr) shard.alloc.add(*weight);
}

template <typename Add = AddLocked>
inline void count_free(CounterBlock& shard, uint64_t size_bytes, uint64_t birth_ns, uint64_t now_ns, bool temporary,
                       const Weight* weight, Add add = {}) noexcept {
  if (!is_of_present_class(shard, birth_ns)) count_birth(shard, birth_ns, ~uint64_t{0}, ~size_bytes + 1, add);
  add(shard.free_blocks, 1);
  add(shard.free_bytes, size_bytes);
  const uint64_t age_ns = now_ns > birth_ns ? now_ns - birth_ns : 0;
  if (age_ns >= kFirstLifetimeBoundNs) add(shard.lifetime_blocks[lifetime_class(age_ns) - 1], 1);
  if (temporary) add(shard.temporary_blocks, 1);
  if (weight == nullptr) return;
  shard.freed.add(*weight);
  if (temporary) shard.temporary.add(*weight);
}

// In a shard that is this thread's alone a free makes room below the peak that was seen.
inline void give_headroom(CounterBlock& shard, uint64_t size_bytes) noexcept {
  add_alone(shard.headroom_bytes, size_bytes);
}

// After `size_bytes` were allocated in a shard that is this thread's alone: false where its headroom does not hold
// that, and the trace's peak is to be looked at.
[[nodiscard]] __attribute__((always_inline)) inline bool use_headroom(CounterBlock& shard,
                                                                      uint64_t size_bytes) noexcept {
  add_alone(shard.headroom_bytes, ~size_bytes + 1);
  return static_cast<int64_t>(shard.headroom_bytes.load(std::memory_order_relaxed)) >= 0;
}

// The plain counts of a trace: of all its shards, with what follows from them. All modulo 2^64.
struct TraceSums {
  uint64_t alloc_blocks = 0, alloc_bytes = 0, free_blocks = 0, free_bytes = 0, temporary_blocks = 0;
  uint64_t last_allocated_ns = 0;
  uint64_t lifetime_blocks[kLifetimeClasses] = {};
  uint64_t live_blocks_by_birth[kBirthClasses] = {};
  uint64_t live_bytes_by_birth[kBirthClasses] = {};
  bool ages_known = true;  // False: lifetimes and births are not of all blocks.

  void add(const CounterBlock& shard) noexcept;
};

}  // namespace seep
