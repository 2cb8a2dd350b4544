// SPDX-License-Identifier: Apache-2.0
//
// The filter's slow side; see live_filter.h for the protocol.
#include "preload/live_filter.h"

#include "record/system.h"

namespace seep {
namespace {

constexpr uint8_t kSticky = 255;
// Two buckets, which begin where their shift says.
alignas(64) constinit uint8_t every_address[LiveFilter::array_bytes(1)] = {};

}  // namespace

void LiveFilter::match_everything() noexcept {
  const PackedFilter filter = pack(every_address, 1);
  uint8_t* buckets = bucket(filter, 0);
  buckets[0] = buckets[1] = kSticky;
  packed_.store(filter, std::memory_order_release);
}

uint64_t LiveFilter::buckets() const noexcept { return uint64_t{1} << (64 - (current() & 63)); }

void LiveFilter::increment(PackedFilter filter, uintptr_t address) noexcept {
  uint8_t* byte = bucket(filter, address);
  uint8_t old = __atomic_load_n(byte, __ATOMIC_RELAXED);
  while (old != kSticky && !__atomic_compare_exchange_n(byte, &old, static_cast<uint8_t>(old + 1), true,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
}

PackedFilter LiveFilter::count_in(uintptr_t address) noexcept {
  const PackedFilter filter = current();
  increment(filter, address);
  entries_.fetch_add(1, std::memory_order_relaxed);
  return filter;
}

void LiveFilter::settle(uintptr_t address, PackedFilter counted) noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const PackedFilter building = building_.load(std::memory_order_seq_cst);  // Before `packed`: see the header.
  const PackedFilter packed = packed_.load(std::memory_order_seq_cst);
  if (packed != counted) increment(packed, address);
  if (building > kClaimed && building != counted && building != packed) increment(building, address);
}

void LiveFilter::count_out(uintptr_t address, PackedFilter filter) noexcept {
  uint8_t* byte = bucket(filter, address);
  uint8_t old = __atomic_load_n(byte, __ATOMIC_RELAXED);
  while (old != kSticky && old != 0 &&
         !__atomic_compare_exchange_n(byte, &old, static_cast<uint8_t>(old - 1), true, __ATOMIC_RELEASE,
                                      __ATOMIC_RELAXED)) {
  }
  entries_.fetch_sub(1, std::memory_order_relaxed);
}

bool LiveFilter::stick(uintptr_t address) noexcept {
  const unsigned index = sticky_count_.fetch_add(1, std::memory_order_relaxed);
  if (index >= kMaxSticky) return false;
  sticky_[index].store(address, std::memory_order_release);
  __atomic_store_n(bucket(current(), address), kSticky, __ATOMIC_RELEASE);
  return true;
}

void LiveFilter::grow_if_full(const LiveTable& table, PrivateMemory& memory) noexcept {
  const PackedFilter filter = current();
  const unsigned buckets_log2 = 64 - static_cast<unsigned>(filter & 63);
  if (entries_.load(std::memory_order_relaxed) * 20 <= int64_t{1} << buckets_log2) return;
  if (buckets_log2 + 2 > kMaxBucketsLog2 || (filter & ~uintptr_t{63}) == reinterpret_cast<uintptr_t>(every_address)) {
    return;
  }
  const sys::SignalsBlocked blocked;  // A handler that jumps away would leave it building for ever.
  PackedFilter nobody = 0;
  if (!building_.compare_exchange_strong(nobody, kClaimed, std::memory_order_seq_cst)) return;
  void* array = current() == filter ? memory.take(array_bytes(buckets_log2 + 2)) : nullptr;
  if (array != nullptr) {
    const PackedFilter larger = pack(static_cast<uint8_t*>(array), buckets_log2 + 2);
    building_.store(larger, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    table.each([&](uintptr_t address, const LiveEntry&) { increment(larger, address); });
    for (const auto& address : sticky_) {
      const uintptr_t value = address.load(std::memory_order_acquire);
      if (value != 0) __atomic_store_n(bucket(larger, value), kSticky, __ATOMIC_RELAXED);
    }
    packed_.store(larger, std::memory_order_seq_cst);
  }
  building_.store(0, std::memory_order_seq_cst);
}

}  // namespace seep
