// SPDX-License-Identifier: Apache-2.0
// The intervals of sampled numbers hold what they promise: by simulation, for the sizes and counts that programs have.
#include "leaks/estimate.h"

#include <gtest/gtest.h>

#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <random>
#include <vector>

namespace seep {
namespace {

constexpr double kSampleBytes = 512 * 1024;

// So many blocks of one size.
struct Group {
  double size;
  uint64_t blocks;
};

double total_bytes(const std::vector<Group>& groups) {
  double bytes = 0;
  for (const Group& group : groups) bytes += group.size * static_cast<double>(group.blocks);
  return bytes;
}

double total_blocks(const std::vector<Group>& groups) {
  double blocks = 0;
  for (const Group& group : groups) blocks += static_cast<double>(group.blocks);
  return blocks;
}

// What the recorder would have counted of these blocks.
proto::TraceCounters sample(const std::vector<Group>& groups, std::mt19937_64& random) {
  proto::TraceCounters counters;
  proto::WeightedSum sum;
  uint64_t blocks = 0;
  double bytes = 0, blocks_variance = 0, bytes_variance = 0, plain_bytes = 0;
  for (const Group& group : groups) {
    const double p = -std::expm1(-(group.size + 1) / kSampleBytes);
    const auto sampled = std::binomial_distribution<uint64_t>(group.blocks, p)(random);
    const double n = static_cast<double>(sampled);
    blocks += sampled;
    plain_bytes += n * group.size;
    sum.set_blocks(sum.blocks() + n / p);
    bytes += n * group.size / p;
    blocks_variance += n * (1 - p) / (p * p);
    bytes_variance += n * group.size * group.size * (1 - p) / (p * p);
  }
  sum.set_bytes(bytes);
  sum.set_blocks_variance(static_cast<float>(blocks_variance));
  sum.set_bytes_variance(static_cast<float>(bytes_variance));
  counters.set_alloc_blocks(blocks);
  counters.set_alloc_bytes(static_cast<uint64_t>(plain_bytes));
  *counters.mutable_alloc_estimate() = sum;
  *counters.mutable_live_estimate() = sum;
  return counters;
}

struct Coverage {
  double bytes = 0;
  double blocks = 0;
};

// How often the intervals held the truth. A site that was never sampled is not in a report and says nothing wrong.
Coverage simulate(const std::vector<Group>& groups, int runs, uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr double kRounding = 1 + 1e-6;
  Coverage held;
  for (int run = 0; run < runs; ++run) {
    const Activity activity = activity_of(sample(groups, random), false);
    if (activity.live.bytes.samples == 0) {
      held.bytes += total_bytes(groups) <= 3.69 * kSampleBytes;
      held.blocks += 1;
      continue;
    }
    const Interval bytes = *activity.live.bytes.interval();
    const Interval blocks = *activity.live.blocks.interval();
    held.bytes += bytes.low <= total_bytes(groups) * kRounding && total_bytes(groups) <= bytes.high * kRounding;
    held.blocks += blocks.low <= total_blocks(groups) * kRounding && total_blocks(groups) <= blocks.high * kRounding;
  }
  return {held.bytes / runs, held.blocks / runs};
}

constexpr int kRuns = 4000;
// The seeds are fixed. With others, a coverage of exactly 95 % would be found below this bound with probability 3.4e-6
// (4.5 standard deviations of a proportion of 4000) in each of the checks.
const double kLowestCoverage = 0.95 - 4.5 * std::sqrt(0.95 * 0.05 / kRuns);

// The weighted sums of `n` samples of one size.
proto::TraceCounters counters_of(double size, uint64_t n, double p) {
  proto::TraceCounters counters;
  const double samples = static_cast<double>(n);
  proto::WeightedSum sum;
  sum.set_blocks(samples / p);
  sum.set_bytes(samples * size / p);
  sum.set_blocks_variance(static_cast<float>(samples * (1 - p) / (p * p)));
  sum.set_bytes_variance(static_cast<float>(samples * size * size * (1 - p) / (p * p)));
  counters.set_alloc_blocks(n);
  counters.set_alloc_bytes(n * static_cast<uint64_t>(size));
  *counters.mutable_alloc_estimate() = sum;
  *counters.mutable_live_estimate() = sum;
  return counters;
}

// The exact probability that the intervals of both blocks and bytes hold the truth, summed over all outcomes.
double exact_coverage(double size, uint64_t blocks) {
  const double p = -std::expm1(-(size + 1) / kSampleBytes);
  const boost::math::binomial_distribution<double> samples(static_cast<double>(blocks), p);
  const double mean = boost::math::mean(samples);
  const double reach = 8 * boost::math::standard_deviation(samples) + 12;
  const auto first = static_cast<uint64_t>(std::max(0.0, mean - reach));
  const auto last = std::min(blocks, static_cast<uint64_t>(mean + reach));
  const double truth = static_cast<double>(blocks);
  constexpr double kRounding = 1 + 1e-6;
  double held = 0;
  for (uint64_t n = first; n <= last; ++n) {
    if (n == 0) {  // Known by samples that were freed, or not in the report at all: [0, 3.69 w].
      held += truth * p <= 3.69 ? boost::math::pdf(samples, 0) : 0;
      continue;
    }
    const Activity activity = activity_of(counters_of(size, n, p), false);
    const Interval in_blocks = *activity.live.blocks.interval();
    const Interval in_bytes = *activity.live.bytes.interval();
    const bool holds = in_blocks.low <= truth * kRounding && truth <= in_blocks.high * kRounding &&
                       in_bytes.low <= truth * size * kRounding && truth * size <= in_bytes.high * kRounding;
    if (holds) held += boost::math::pdf(samples, static_cast<double>(n));
  }
  return held;
}

TEST(Intervals, HoldExactlyForOneSizeFromFewToManyBlocks) {
  for (const double size : {16.0, 256.0, 4096.0, 65536.0, 131072.0, 262144.0, 400000.0, 524288.0, 786432.0, 1048576.0,
                            1572864.0, 2097152.0, 2621440.0, 3145728.0, 4194304.0, 8388608.0}) {
    const double p = -std::expm1(-(size + 1) / kSampleBytes);
    for (const double expected_samples :
         {0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 50.0, 100.0, 300.0}) {
      const auto blocks = static_cast<uint64_t>(std::ceil(expected_samples / p));
      EXPECT_GE(exact_coverage(size, blocks), 0.95) << blocks << " blocks of " << size << " bytes";
    }
  }
}

TEST(Intervals, HoldForMixedSizes) {
  const std::vector<std::vector<Group>> mixtures = {
      {{100, 5000}, {1000, 500}, {10000, 50}},
      {{4096, 300}, {65536, 20}, {1048576, 2}},
      {{16, 100000}, {2097152, 3}},
      {{64, 30000}, {262144, 10}, {524288, 4}, {8388608, 1}},
      {{200000, 4}, {400000, 3}, {800000, 2}},
  };
  for (size_t index = 0; index < mixtures.size(); ++index) {
    const Coverage held = simulate(mixtures[index], kRuns, index + 1);
    EXPECT_GE(held.bytes, kLowestCoverage) << "mixture " << index;
  }
}

// Counts of blocks hold where each size has samples; a size without any cannot be known of (see estimate.h).
TEST(Intervals, HoldForBlocksOfMixedSizesThatAreAllSampled) {
  const std::vector<std::vector<Group>> mixtures = {
      {{100, 100'000}, {1000, 10'000}, {10000, 1000}},
      {{4096, 2000}, {65536, 200}, {1048576, 20}},
      {{64, 200'000}, {262144, 40}, {8388608, 10}},
  };
  for (size_t index = 0; index < mixtures.size(); ++index) {
    const Coverage held = simulate(mixtures[index], kRuns, index + 1);
    EXPECT_GE(held.blocks, kLowestCoverage) << "mixture " << index;
    EXPECT_GE(held.bytes, kLowestCoverage) << "mixture " << index;
  }
}

TEST(Intervals, AreNotNeedlesslyWide) {
  // 100 samples of equal weight: a standard deviation of 10 %, so a width of about 39 %.
  std::mt19937_64 random(7);
  const Measure measure = activity_of(sample({{4096, 12800}}, random), false).live.bytes;
  const Interval interval = *measure.interval();
  EXPECT_LT(interval.high - interval.low, 0.5 * measure.value());
  EXPECT_GT(interval.high - interval.low, 0.3 * measure.value());
}

TEST(Intervals, NeverContradictTheSamples) {
  proto::TraceCounters counters;
  counters.set_alloc_blocks(1);
  counters.set_alloc_bytes(100'000);
  const double p = -std::expm1(-100'001 / kSampleBytes);
  for (auto* sum : {counters.mutable_alloc_estimate(), counters.mutable_live_estimate()}) {
    sum->set_blocks(1 / p);
    sum->set_bytes(100'000 / p);
    sum->set_blocks_variance(static_cast<float>((1 - p) / (p * p)));
    sum->set_bytes_variance(static_cast<float>(1e10 * (1 - p) / (p * p)));
  }
  const Activity activity = activity_of(counters, false);
  EXPECT_GE(activity.live.bytes.interval()->low, 100'000);
  EXPECT_GE(activity.live.blocks.interval()->low, 1);
  EXPECT_LE(activity.live.bytes.interval()->low, activity.live.bytes.value());
  EXPECT_GE(activity.live.bytes.interval()->high, activity.live.bytes.value());
}

TEST(Intervals, WhereAllSamplesWereFreedTheUpperEndIsThreePointSevenOfTheirWeight) {
  std::mt19937_64 random(3);
  proto::TraceCounters counters = sample({{4096, 12800}}, random);
  counters.set_free_blocks(counters.alloc_blocks());
  counters.set_free_bytes(counters.alloc_bytes());
  // What adding and removing floating-point weights leaves.
  counters.mutable_live_estimate()->set_bytes(1e-7);
  const Measure live = activity_of(counters, false).live.bytes;
  EXPECT_EQ(live.value(), 0);
  EXPECT_EQ(live.interval()->low, 0);
  EXPECT_NEAR(live.interval()->high, 3.69 * kSampleBytes, 0.02 * 3.69 * kSampleBytes);
}

// None of N blocks is sampled with probability (1-p)^N: the upper end is where that is 2.5 %, also where p is large.
TEST(Intervals, WhereAllSamplesWereFreedTheUpperEndIsExactForOneSize) {
  for (const double size : {16.0, 65536.0, 524288.0, 1048576.0, 1572864.0}) {
    const double p = -std::expm1(-(size + 1) / kSampleBytes);
    proto::TraceCounters counters = counters_of(size, 7, p);
    counters.set_free_blocks(counters.alloc_blocks());
    counters.set_free_bytes(counters.alloc_bytes());
    const BlocksAndBytes live = activity_of(counters, false).live;
    const double unseen_blocks = std::log(0.025) / std::log1p(-p);
    EXPECT_NEAR(live.blocks.interval()->high, unseen_blocks, 1e-3 * unseen_blocks) << size;
    EXPECT_NEAR(live.bytes.interval()->high, unseen_blocks * size, 1e-3 * unseen_blocks * size) << size;
  }
}

TEST(Intervals, AreNoneForExactNumbers) {
  proto::TraceCounters counters;
  counters.set_alloc_blocks(10);
  counters.set_alloc_bytes(1000);
  counters.set_free_blocks(4);
  counters.set_free_bytes(300);
  const Activity activity = activity_of(counters, true);
  EXPECT_EQ(activity.live.bytes.value(), 700);
  EXPECT_EQ(activity.live.blocks.value(), 6);
  EXPECT_FALSE(activity.live.bytes.interval().has_value());
}

TEST(Intervals, OfASumComeFromTheSums) {
  std::mt19937_64 random(11);
  const Measure one = activity_of(sample({{4096, 6400}}, random), false).live.bytes;
  const Measure other = activity_of(sample({{4096, 6400}}, random), false).live.bytes;
  Measure both = one;
  both += other;
  EXPECT_DOUBLE_EQ(both.value(), one.value() + other.value());
  const double separate = one.interval()->high - one.interval()->low + other.interval()->high - other.interval()->low;
  EXPECT_LT(both.interval()->high - both.interval()->low, separate);
}

TEST(Intervals, OfExactAndSampledTogetherShiftByWhatIsExact) {
  std::mt19937_64 random(13);
  const Measure sampled = activity_of(sample({{4096, 6400}}, random), false).live.bytes;
  Measure both = sampled;
  both += Measure{.exact = 1000};
  EXPECT_DOUBLE_EQ(both.interval()->low, sampled.interval()->low + 1000);
  EXPECT_DOUBLE_EQ(both.interval()->high, sampled.interval()->high + 1000);
}

// What a site did between two moments: blocks that were live at both, older ones that went, new ones that stayed, and
// those that came and went in between.
struct Happenings {
  std::vector<Group> kept = {}, gone = {}, came = {}, passed = {};
};

void add(CounterSums& sums, const proto::TraceCounters& sample, bool freed) {
  const auto add_weighted = [](CounterSums::Weighted& to, const proto::WeightedSum& sum) {
    to.blocks += sum.blocks();
    to.bytes += sum.bytes();
    to.blocks_variance += static_cast<double>(sum.blocks_variance());
    to.bytes_variance += static_cast<double>(sum.bytes_variance());
  };
  sums.alloc_blocks += sample.alloc_blocks();
  sums.alloc_bytes += sample.alloc_bytes();
  add_weighted(sums.alloc, sample.alloc_estimate());
  if (freed) {
    sums.free_blocks += sample.alloc_blocks();
    sums.free_bytes += sample.alloc_bytes();
  } else {
    add_weighted(sums.live, sample.alloc_estimate());
  }
}

// The growth that a report would compute from samples of all of them.
Growth sampled_growth(const Happenings& happenings, std::mt19937_64& random) {
  CounterSums before, after;
  const proto::TraceCounters kept = sample(happenings.kept, random);
  const proto::TraceCounters gone = sample(happenings.gone, random);
  add(before, kept, false);
  add(before, gone, false);
  add(after, kept, false);
  add(after, gone, true);
  add(after, sample(happenings.came, random), false);
  add(after, sample(happenings.passed, random), true);
  return growth_of(before, after, false);
}

TEST(Growth, IntervalsHoldWhateverCameAndWentBeside) {
  const std::vector<Happenings> cases = {
      {.came = {{4096, 3000}}},
      {.kept = {{4096, 500'000}}, .came = {{4096, 300}}},                       // A few beside many old ones.
      {.came = {{4096, 300}}, .passed = {{4096, 500'000}}},                     // Much comes and goes.
      {.kept = {{512, 40'000}}, .gone = {{512, 9000}}, .came = {{512, 7000}}},  // It shrinks.
      {.kept = {{64, 90'000}}, .gone = {{64, 50'000}}, .came = {{64, 50'000}}, .passed = {{64, 90'000}}},
      {.gone = {{4096, 256}}, .came = {{4096, 256}}, .passed = {{4096, 256}}},  // Two samples of each.
      {.kept = {{100, 20'000}}, .came = {{100, 5000}, {65536, 30}, {2097152, 3}}, .passed = {{4096, 2000}}},
      {.gone = {{2097152, 4}, {4096, 300}}, .came = {{262144, 9}}, .passed = {{524288, 20}}},
      {.kept = {{1048576, 5}}, .gone = {{1048576, 1}}, .came = {{1048576, 2}}, .passed = {{1048576, 7}}},
  };
  for (size_t index = 0; index < cases.size(); ++index) {
    const double truth = total_bytes(cases[index].came) - total_bytes(cases[index].gone);
    std::mt19937_64 random(index + 1);
    int held = 0;
    for (int run = 0; run < kRuns; ++run) {
      const Interval bytes = *sampled_growth(cases[index], random).bytes().interval;
      constexpr double kRounding = 1;  // A byte.
      held += bytes.low <= truth + kRounding && truth <= bytes.high + kRounding;
    }
    EXPECT_GE(held, kLowestCoverage * kRuns) << "case " << index;
  }
}

// The counters of a site whose blocks have one size and `alloc` samples, `freed` of them freed.
CounterSums sums_of_one_size(double size, double p, uint64_t alloc, uint64_t freed) {
  proto::TraceCounters counters = counters_of(size, alloc, p);
  *counters.mutable_live_estimate() = counters_of(size, alloc - freed, p).live_estimate();
  counters.set_free_blocks(freed);
  counters.set_free_bytes(freed * static_cast<uint64_t>(size));
  return sums_of(counters);
}

// The exact probability that both intervals hold the truth, where `came` blocks are new and `gone` old ones went, which
// is the hardest case: nothing else varies in the same way.
double exact_growth_coverage(double size, uint64_t came, uint64_t gone) {
  const double p = -std::expm1(-(size + 1) / kSampleBytes);
  const auto outcomes = [p](uint64_t blocks) {
    const boost::math::binomial_distribution<double> samples(static_cast<double>(blocks), p);
    std::vector<double> probabilities;
    for (uint64_t n = 0; n <= blocks && static_cast<double>(n) < 8 + 4 * boost::math::mean(samples); ++n) {
      probabilities.push_back(boost::math::pdf(samples, static_cast<double>(n)));
    }
    return probabilities;
  };
  const std::vector<double> of_came = outcomes(came);
  const std::vector<double> of_gone = outcomes(gone);
  const double truth = static_cast<double>(came) - static_cast<double>(gone);
  const double rounding = 1e-6 * static_cast<double>(came + gone);
  const auto holds = [&](uint64_t new_samples, uint64_t old_samples) {
    if (new_samples + old_samples == 0) return std::abs(truth) * p <= 3.69;  // Not in the report at all.
    const Growth growth = growth_of(sums_of_one_size(size, p, old_samples, 0),
                                    sums_of_one_size(size, p, old_samples + new_samples, old_samples), false);
    const Interval blocks = *growth.blocks().interval;
    const Interval bytes = *growth.bytes().interval;
    return blocks.low <= truth + rounding && truth - rounding <= blocks.high &&
           bytes.low <= (truth + rounding) * size && (truth - rounding) * size <= bytes.high;
  };
  double held = 0;
  for (size_t n = 0; n < of_came.size(); ++n) {
    for (size_t m = 0; m < of_gone.size(); ++m) {
      const double probability = of_came[n] * of_gone[m];
      if (probability > 1e-7 && holds(n, m)) held += probability;
    }
  }
  return held;
}

TEST(Growth, IntervalsHoldExactlyForOneSize) {
  for (const double size : {16.0, 65536.0, 262144.0, 524288.0, 780000.0, 1048576.0, 2097152.0, 4194304.0}) {
    const double p = -std::expm1(-(size + 1) / kSampleBytes);
    const auto blocks = [p](double expected_samples) { return static_cast<uint64_t>(std::ceil(expected_samples / p)); };
    for (const double came : {0.0, 0.5, 1.0, 2.0, 4.0, 9.0}) {
      for (const double gone : {0.0, 0.5, 1.0, 2.0, 4.0, 9.0}) {
        EXPECT_GE(exact_growth_coverage(size, blocks(came), blocks(gone)), 0.95)
            << blocks(came) << " new, " << blocks(gone) << " gone, of " << size << " bytes";
      }
    }
  }
}

// 100 new samples beside 10,000 old ones, or beside 10,000 that came and went: the width is of the 100, not of them.
TEST(Growth, IntervalsAreNotWidenedByWhatCancels) {
  const std::vector<Happenings> cases = {{.kept = {{4096, 1'280'000}}, .came = {{4096, 12'800}}},
                                         {.came = {{4096, 12'800}}, .passed = {{4096, 1'280'000}}}};
  for (const Happenings& happenings : cases) {
    std::mt19937_64 random(5);
    const Interval bytes = *sampled_growth(happenings, random).bytes().interval;
    EXPECT_LT(bytes.high - bytes.low, 0.6 * total_bytes(happenings.came));
  }
}

TEST(Growth, OfExactRecordingsIsExactAndSigned) {
  const CounterSums before{.alloc_blocks = 10, .alloc_bytes = 1000, .free_blocks = 2, .free_bytes = 100};
  const CounterSums after{.alloc_blocks = 15, .alloc_bytes = 1700, .free_blocks = 9, .free_bytes = 1100};
  const Growth growth = growth_of(before, after, true);
  EXPECT_EQ(growth.blocks().value, -2);
  EXPECT_EQ(growth.bytes().value, -300);
  EXPECT_FALSE(growth.bytes().interval.has_value());
}

TEST(Growth, OfTwoSitesAddsUp) {
  std::mt19937_64 random(17);
  Growth both = sampled_growth({.kept = {{512, 40'000}}, .came = {{512, 9000}}}, random);
  const Growth other = sampled_growth({.gone = {{512, 5000}}, .came = {{512, 5000}}}, random);
  const double sum = both.bytes().value + other.bytes().value;
  both += other;
  EXPECT_NEAR(both.bytes().value, sum, 1);
  EXPECT_LT(both.bytes().interval->low, sum);
  EXPECT_GT(both.bytes().interval->high, sum);
}

}  // namespace
}  // namespace seep
