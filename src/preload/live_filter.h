// SPDX-License-Identifier: Apache-2.0
//
// A counting filter in front of the live table: can this address be a recorded block? One load answers no for nearly
// every free. A byte a bucket, index by multiplicative hash; a byte that reached 255 stays there.
//
// False positives cost a lookup in the table; a false negative would be a missed free, so there is none: every entry of
// the table is counted in the filter that `packed` names, from before malloc returns the block until its free has taken
// it out of the table. When more than one bucket in twenty is taken, a filter four times as large is built beside:
//
//   1. `building` names it; 2. every entry of the live table is counted into it; 3. `packed` names it; 4. `building` is
//   null.
//
// An insertion counts in `packed`, enters the table, and looks again: at `building`, then at `packed`; what it finds
// new it counts there too. So either the builder sees the entry in the table or the insertion sees the builder. A
// removal takes back its count in the filter that `packed` named before the entry left the table, and in no other. What
// both races can leave behind is a count too many: a bucket that costs a lookup. Old filters are never given back.
//
// In exact mode every address is a block: both of two buckets are 255.
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/live_table.h"
#include "preload/private_memory.h"
#include "processor/processor.h"

namespace seep {

// Where the filter's array lies and how far to shift the hash: the array is aligned to 64, and the shift is under 64.
// The buckets begin that many bytes into the array, so that the sum of this and a hash is where its bucket is.
using PackedFilter = uintptr_t;

class LiveFilter {
 public:
  static constexpr unsigned kFirstBucketsLog2 = 16;
  static constexpr unsigned kMaxBucketsLog2 = 28;
  static constexpr size_t array_bytes(unsigned buckets_log2) noexcept { return (size_t{1} << buckets_log2) + 64; }

  constexpr explicit LiveFilter(const uint8_t* first_array) : first_array_(first_array) {}

  // Once, before use: points at the first array (array_bytes(kFirstBucketsLog2) zeros, aligned to 64).
  void start() noexcept { packed_.store(pack(first_array_, kFirstBucketsLog2), std::memory_order_relaxed); }
  void match_everything() noexcept;

  // False: surely not recorded.
  [[nodiscard]] __attribute__((always_inline)) bool maybe_recorded(const void* block) const noexcept {
    const PackedFilter packed = packed_.load(std::memory_order_acquire);
    return is_not_zero(*bucket(packed, reinterpret_cast<uintptr_t>(block)));
  }

  // Before an address enters the table; then `settle` with what it returned, once it is in.
  [[nodiscard]] PackedFilter count_in(uintptr_t address) noexcept;
  void settle(uintptr_t address, PackedFilter counted) noexcept;

  // Before an address leaves the table; then `count_out` with it, once it is out.
  [[nodiscard]] PackedFilter current() const noexcept { return packed_.load(std::memory_order_acquire); }
  void count_out(uintptr_t address, PackedFilter filter) noexcept;

  // For addresses that shall be found for ever, in this filter and in those that follow. False: there are kMaxSticky.
  static constexpr unsigned kMaxSticky = 256;
  [[nodiscard]] bool stick(uintptr_t address) noexcept;

  // Grows where the table holds too many; cheap if not. At most one thread grows, the others go on.
  void grow_if_full(const LiveTable& table, PrivateMemory& memory) noexcept;

  // In the child of a fork, whose builder may be gone.
  void forget_builder() noexcept { building_.store(0, std::memory_order_relaxed); }

  [[nodiscard]] uint64_t buckets() const noexcept;

 private:
  static constexpr PackedFilter kClaimed = 1;

  static PackedFilter pack(const uint8_t* array, unsigned buckets_log2) noexcept {
    return reinterpret_cast<uintptr_t>(array) | (64 - buckets_log2);
  }
  static uint8_t* bucket(PackedFilter packed, uintptr_t address) noexcept {
    return reinterpret_cast<uint8_t*>(packed) + ((address * 0x9E3779B97F4A7C15ull) >> (packed & 63));
  }
  static void increment(PackedFilter filter, uintptr_t address) noexcept;

  const uint8_t* first_array_;
  std::atomic<PackedFilter> packed_{0};
  std::atomic<PackedFilter> building_{0};
  std::atomic<int64_t> entries_{0};
  std::atomic<unsigned> sticky_count_{0};
  std::atomic<uintptr_t> sticky_[kMaxSticky]{};
};

}  // namespace seep
