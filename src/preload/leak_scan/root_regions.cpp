// SPDX-License-Identifier: Apache-2.0
//
// Registered regions; see root_regions.h.
#include "preload/leak_scan/root_regions.h"

namespace seep::leak_scan {

constinit RootRegions root_regions;

bool RootRegions::add(const void* start, size_t bytes) noexcept {
  if (start == nullptr || bytes == 0) return false;
  const auto address = reinterpret_cast<uintptr_t>(start);
  for (Entry& entry : entries_) {
    uintptr_t free = 0;
    if (!entry.start.compare_exchange_strong(free, address, std::memory_order_acq_rel)) continue;
    entry.bytes.store(bytes, std::memory_order_release);
    return true;
  }
  return false;
}

bool RootRegions::remove(const void* start, size_t bytes) noexcept {
  if (start == nullptr || bytes == 0) return false;
  const auto address = reinterpret_cast<uintptr_t>(start);
  for (Entry& entry : entries_) {
    size_t there = bytes;
    if (entry.start.load(std::memory_order_acquire) != address) continue;
    if (!entry.bytes.compare_exchange_strong(there, 0, std::memory_order_acq_rel)) continue;
    entry.start.store(0, std::memory_order_release);
    return true;
  }
  return false;
}

}  // namespace seep::leak_scan
