// SPDX-License-Identifier: Apache-2.0
// What the counters of a trace were some time before the end, for "what grew last". Part of the model of a stream.
//
// Growth is measured from the newest closed snapshot that is at least a window (10 s) older than the newest one. Which
// one that will be is known only at the end of the stream, so the snapshots of the last window are kept as moments: at
// most kMostMoments of them, the others of a stream with many a second being too close to one that is kept. Of each
// trace only those earlier counters are kept that hold at one of the moments: nothing for a trace that does not change,
// and never more than kMostMoments + 1. Plain data; one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "seep.pb.h"

namespace seep {

constexpr uint64_t kGrowthWindowNs = 10'000'000'000;

// The closed snapshots of a stream are numbered from 1, as they were read; 0 is the start, when all counters were zero.
using SnapshotOrdinal = uint32_t;

// What adds up in the counters of a trace, at one moment.
struct CounterSums {
  struct Weighted {
    double blocks = 0, bytes = 0, blocks_variance = 0, bytes_variance = 0;
  };
  uint64_t alloc_blocks = 0, alloc_bytes = 0, free_blocks = 0, free_bytes = 0;
  Weighted alloc, live;  // Zero in exact recordings.
};

inline CounterSums sums_of(const proto::TraceCounters& counters) {
  const auto weighted = [](const proto::WeightedSum& sum) {
    return CounterSums::Weighted{sum.blocks(), sum.bytes(), sum.blocks_variance(), sum.bytes_variance()};
  };
  return {counters.alloc_blocks(),
          counters.alloc_bytes(),
          counters.free_blocks(),
          counters.free_bytes(),
          weighted(counters.alloc_estimate()),
          weighted(counters.live_estimate())};
}

// Counters of a trace that newer ones have replaced, and the snapshot since which they held.
struct PastCounters {
  SnapshotOrdinal since = 0;
  CounterSums sums;
};

// From one closed snapshot, or the start, to the newest one.
struct GrowthSpan {
  SnapshotOrdinal from = 0;
  SnapshotOrdinal to = 0;
  uint64_t from_ns = 0;
  uint64_t to_ns = 0;

  bool from_start() const { return from == 0; }
  uint64_t length_ns() const { return to_ns - from_ns; }
};

class GrowthMoments {
 public:
  static constexpr size_t kMostMoments = 66;

  explicit GrowthMoments(uint64_t window_ns) : window_ns_(window_ns) {}

  // A snapshot was closed. Times that go backwards, as only a damaged stream has them, count as the latest before them.
  void close(uint64_t time_ns) {
    newest_ns_ = std::max(newest_ns_, time_ns);
    ++closed_;
    // One moment lies before the window, and one more than there are such distances in it.
    constexpr uint64_t kDistances = kMostMoments - 2;
    const uint64_t distance_ns = (window_ns_ + kDistances - 1) / kDistances;
    if (moments_.empty() || newest_ns_ - moments_.back().time_ns >= distance_ns) {
      moments_.push_back({closed_, newest_ns_});
    }
    while (moments_.size() > 1 && is_before_window(moments_[1].time_ns, newest_ns_)) moments_.pop_front();
  }

  // The number of the snapshot that will close what is being read.
  SnapshotOrdinal open() const { return closed_ + 1; }

  // The span to the newest closed snapshot. `end_ns`: when it is known that nothing changed from then until a later
  // time, that time.
  std::optional<GrowthSpan> span(uint64_t end_ns) const {
    if (closed_ == 0) return std::nullopt;
    GrowthSpan span{.to = closed_, .to_ns = std::max(newest_ns_, end_ns)};
    for (const Moment& moment : moments_) {
      if (!is_before_window(moment.time_ns, span.to_ns)) break;
      span.from = moment.snapshot;
      span.from_ns = moment.time_ns;
    }
    return span;
  }

  // `replaced` held until now. Keeps of it and of what is in `past` only what held at a moment.
  void keep(std::vector<PastCounters>& past, PastCounters replaced) const {
    past.push_back(replaced);
    size_t kept = 0;
    for (size_t index = 0; index < past.size(); ++index) {
      const SnapshotOrdinal until = index + 1 < past.size() ? past[index + 1].since : open();
      if (any_moment_in(past[index].since, until)) past[kept++] = past[index];
    }
    past.resize(kept);
  }

 private:
  struct Moment {
    SnapshotOrdinal snapshot;
    uint64_t time_ns;
  };

  bool is_before_window(uint64_t time_ns, uint64_t end_ns) const {
    return end_ns >= window_ns_ && time_ns <= end_ns - window_ns_;
  }

  // The newest closed snapshot is one too: what was read behind it may never be closed.
  bool any_moment_in(SnapshotOrdinal first, SnapshotOrdinal until) const {
    if (first <= closed_ && closed_ < until) return true;
    const auto found =
        std::lower_bound(moments_.begin(), moments_.end(), first,
                         [](const Moment& moment, SnapshotOrdinal snapshot) { return moment.snapshot < snapshot; });
    return found != moments_.end() && found->snapshot < until;
  }

  uint64_t window_ns_;
  std::deque<Moment> moments_;  // The first is the newest that lies before the window, if any does.
  SnapshotOrdinal closed_ = 0;
  uint64_t newest_ns_ = 0;
};

}  // namespace seep
