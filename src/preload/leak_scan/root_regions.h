// SPDX-License-Identifier: Apache-2.0
//
// Memory that the program says may hold pointers, through the API: roots, whatever else they are. An entry is claimed
// by its start, and holds once its length is there. Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep::leak_scan {

class RootRegions {
 public:
  constexpr RootRegions() = default;

  // False: nothing, or no room for more.
  bool add(const void* start, size_t bytes) noexcept;
  // Exactly as it was added, as often as it was. False: it is not here.
  bool remove(const void* start, size_t bytes) noexcept;

  // Calls visit(start, end) for each.
  template <typename Visit>
  void each(Visit visit) const noexcept {
    for (const Entry& entry : entries_) {
      const size_t bytes = entry.bytes.load(std::memory_order_acquire);
      const uintptr_t start = entry.start.load(std::memory_order_relaxed);
      if (start != 0 && bytes != 0) visit(start, start + bytes);
    }
  }

 private:
  static constexpr unsigned kMostRegions = 1024;
  struct Entry {
    std::atomic<uintptr_t> start;  // 0: free.
    std::atomic<size_t> bytes;
  };

  Entry entries_[kMostRegions]{};
};

[[gnu::visibility("hidden")]] extern constinit RootRegions root_regions;

}  // namespace seep::leak_scan
