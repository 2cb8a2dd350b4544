// SPDX-License-Identifier: Apache-2.0
// What was measured, with how sure it is: exact numbers, sampled estimates, and their sums.
//
// A sampled number is a Horvitz-Thompson sum: each sample stands for w = size / p bytes (1/p blocks), where p is the
// probability with which a block of its size is sampled, and contributes w^2 (1-p) to the estimated variance v. Such a
// sum of few samples is skewed, so its interval is not y +- 1.96 sd.
//
// What the samples themselves are is proven, so only the rest is in question: the unseen u = y - proven. Its ends are
// gamma quantiles as of Fay and Feuer (1997) for weighted sums of Poisson counts: of mean u and variance v below, and
// of the same with one more sample, (n+1)/n times each, above. Where sizes are large, the unseen is a whole number of
// whole blocks, and a continuous distribution would end between them: so the lower end is moved down by one block of
// the mean sampled size, and the upper end up by one where an unseen block is likely enough to matter. For small sizes
// a block is nothing against w, and this is the interval of Fay and Feuer.
//
// Checked in tests/unit/tools/estimate_test.cpp: exactly for one size, 16 bytes to 8 MiB, and by simulation for mixed.
// A limit of every such estimate: where a few samples of large blocks hide many small blocks that were never sampled,
// nothing in the samples tells of them. That concerns counts of blocks more than bytes. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "seep.pb.h"

namespace seep {

struct Interval {
  double low = 0;
  double high = 0;
};

// Of blocks or of bytes. Adding two of them adds what they measured.
struct Measure {
  double exact = 0;          // From exact recordings.
  double estimate = 0;       // From sampled ones: the sum of weights,
  double variance = 0;       // its estimated variance,
  double proven = 0;         // what the samples themselves are: really there, without any inference,
  uint64_t samples = 0;      // how many they are,
  double unseen_weight = 0;  // and what one sample of such blocks stands for, if none is left: see interval().
  bool sampled = false;      // Some of it comes from a sampled recording.

  // Never below what was proven.
  double value() const;
  // At 95 %. Nothing for what is exact.
  std::optional<Interval> interval() const;

  Measure& operator+=(const Measure& other);

 private:
  double value_of_samples() const;
};

struct BlocksAndBytes {
  Measure blocks;
  Measure bytes;

  BlocksAndBytes& operator+=(const BlocksAndBytes& other) {
    blocks += other.blocks;
    bytes += other.bytes;
    return *this;
  }
};

// What a trace or a site has done, as far as it adds up.
struct Activity {
  BlocksAndBytes live;
  BlocksAndBytes alloc;
  Measure temporary_blocks;
  uint64_t freed_samples = 0;  // Plain counts: blocks that were seen to be freed.

  Activity& operator+=(const Activity& other);
};

Activity activity_of(const proto::TraceCounters& counters, bool exact);

}  // namespace seep
