// SPDX-License-Identifier: Apache-2.0
//
// Sets of addresses as sorted ranges, and a cursor that walks along one. Runs inside the host, one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "preload/leak_scan/growing_array.h"

namespace seep::leak_scan {

struct Range {
  uint64_t start, end;  // [start, end)

  [[nodiscard]] bool holds(uint64_t address) const noexcept { return start <= address && address < end; }
  [[nodiscard]] bool is_empty() const noexcept { return start >= end; }
};

class RangeSet {
 public:
  explicit RangeSet(PrivateMemory& memory) noexcept : ranges_(memory) {}

  [[nodiscard]] bool add(uint64_t start, uint64_t end) noexcept { return start >= end || ranges_.add({start, end}); }
  [[nodiscard]] bool reserve(uint64_t ranges) noexcept { return ranges_.reserve(ranges); }
  // After the last `add`, before a cursor walks along it.
  void settle() noexcept {
    std::sort(ranges_.data(), ranges_.data() + ranges_.size(),
              [](const Range& a, const Range& b) { return a.start < b.start; });
    uint64_t kept = 0;
    for (uint64_t i = 0; i < ranges_.size(); ++i) {
      if (kept > 0 && ranges_[i].start <= ranges_[kept - 1].end)
        ranges_[kept - 1].end = std::max(ranges_[kept - 1].end, ranges_[i].end);
      else ranges_[kept++] = ranges_[i];
    }
    ranges_.shrink_to(kept);
  }
  [[nodiscard]] const GrowingArray<Range>& ranges() const noexcept { return ranges_; }
  void clear() noexcept { ranges_.clear(); }

 private:
  GrowingArray<Range> ranges_;
};

// Asked about addresses that never go down.
class RangeCursor {
 public:
  explicit RangeCursor(const RangeSet& set) noexcept : next_(set.ranges().begin()), end_(set.ranges().end()) {}

  // Whether `address` is in the set; that holds up to `until`, if that was larger before.
  [[nodiscard]] bool holds(uint64_t address, uint64_t& until) noexcept {
    while (next_ != end_ && next_->end <= address) ++next_;
    if (next_ == end_) return false;
    const bool inside = next_->start <= address;
    until = std::min(until, inside ? next_->end : next_->start);
    return inside;
  }

 private:
  const Range* next_;
  const Range* end_;
};

}  // namespace seep::leak_scan
