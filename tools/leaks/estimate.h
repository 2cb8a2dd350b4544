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
// Growth between two moments is what was allocated since the first minus what was freed since, the difference of two
// such sums. Its interval is made of theirs by the method of variance estimates recovery (Zou and Donner, Statistics in
// Medicine 27, 2008): with d = x - y it reaches from d - sqrt((x - low_x)^2 + (high_y - y)^2) to
// d + sqrt((high_x - x)^2 + (y - low_y)^2), and up to half a block further, to the next whole block where blocks are
// large. That is for independent x and y, and too wide where they vary together, as they do here: a block that came and
// went between the moments is in both, and cancels. Only new blocks that stayed and old ones that went are in doubt.
// The sums do not tell these apart, but both "allocated minus freed" and "live after minus live before" contain them,
// with others that cancel; so both intervals hold, and the one of the smaller variance is taken: the first where few
// blocks are new beside many old ones, the second where many come and go.
//
// Checked in tests/unit/tools/estimate_test.cpp: exactly for one size, 16 bytes to 8 MiB, and by simulation for mixed.
// A limit of every such estimate: where a few samples of large blocks hide many small blocks that were never sampled,
// nothing in the samples tells of them. That concerns counts of blocks more than bytes. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "recording/counter_history.h"
#include "seep.pb.h"

namespace seep {

// Of the intervals that reports show.
constexpr double kConfidence = 0.95;

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
  // Nothing for what is exact. `confidence`: in (0, 1), the same on both sides.
  std::optional<Interval> interval(double confidence = kConfidence) const;

  Measure& operator+=(const Measure& other);

 private:
  double value_of_samples() const;
};

// Of blocks as those that were sampled: what one sample of them stands for, if none is left. 0: there is no sample.
double unseen_weight(const Measure& measure);

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
  bool temporary_is_known = true;  // False: of some trace the last snapshot leaves it out, and there was to be another.
  uint64_t freed_samples = 0;  // Plain counts: blocks that were seen to be freed.

  Activity& operator+=(const Activity& other);
};

Activity activity_of(const proto::TraceCounters& counters, bool exact);

// Of an exact recording.
BlocksAndBytes counted(uint64_t blocks, uint64_t bytes);
// Of a sampled one: some of the samples of a trace, so many blocks and bytes themselves, and what they stand for.
BlocksAndBytes part_of_samples(const proto::TraceCounters& trace, uint64_t blocks, uint64_t bytes,
                               const proto::WeightedSum& estimate);

// How much more (or less: then negative) was live at one moment than at an earlier one.
struct Change {
  double value = 0;
  std::optional<Interval> interval;  // Nothing for what is exact.
};

// How much more there is in one recording than in another, each of which may be exact or sampled. What one of them has
// no sample of wants an `unseen_weight` there: seen nowhere is not proved to be nowhere.
Change change_between(const Measure& before, const Measure& after, double confidence = kConfidence);

// What happened between two moments, as far as it adds up: allocated - freed = after - before.
struct Growth {
  BlocksAndBytes allocated;
  BlocksAndBytes freed;
  BlocksAndBytes before;  // Live at the first moment,
  BlocksAndBytes after;   // and at the second.

  Change blocks(double confidence = kConfidence) const;
  Change bytes(double confidence = kConfidence) const;

  Growth& operator+=(const Growth& other);
};

Growth growth_of(const CounterSums& before, const CounterSums& after, bool exact);

}  // namespace seep
