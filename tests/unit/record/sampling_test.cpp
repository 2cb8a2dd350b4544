// SPDX-License-Identifier: Apache-2.0
//
// Ground truth: libm, and the distributions that record/sampling.h derives.
#include "record/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace seep {
namespace {

TEST(Sampling, LogarithmAgreesWithLibm) {
  uint64_t state = 1;
  for (int i = 0; i < 1'000'000; ++i) {
    const double x = static_cast<double>((next_random(state) >> 11) + 1) * 0x1p-53;
    ASSERT_NEAR(natural_log(x), std::log(x), 1e-14 * std::max(1.0, std::fabs(std::log(x)))) << x;
  }
  EXPECT_EQ(natural_log(1.0), 0.0);
}

TEST(Sampling, ProbabilityAgreesWithLibmAlsoWhereItIsTiny) {
  for (double x = 1e-16; x < 60; x *= 1.01) {
    ASSERT_NEAR(one_minus_exp_of_minus(x) / -std::expm1(-x), 1.0, 1e-14) << x;
  }
  EXPECT_EQ(one_minus_exp_of_minus(0), 0.0);
}

// Kolmogorov and Smirnov: the largest distance between the empirical and the exponential distribution, n = 100,000. It
// exceeds 2.3 / sqrt(n) by chance with probability 2 exp(-2 * 2.3^2) = 5e-5; the seed is fixed, so it never fails by
// chance.
TEST(Sampling, GapsAreExponential) {
  constexpr int kCount = 100'000;
  constexpr uint64_t kMean = 512 << 10;
  uint64_t state = 42;
  std::vector<double> gaps;
  for (int i = 0; i < kCount; ++i) gaps.push_back(static_cast<double>(next_gap_bytes(state, kMean)));
  std::sort(gaps.begin(), gaps.end());
  double distance = 0;
  for (int i = 0; i < kCount; ++i) {
    const double expected = -std::expm1(-gaps[i] / static_cast<double>(kMean));
    distance = std::max({distance, std::fabs(expected - (i + 1.0) / kCount), std::fabs(expected - 1.0 * i / kCount)});
  }
  EXPECT_LT(distance, 2.3 / std::sqrt(kCount));
}

// P(gap < k) must be 1 - exp(-k/T) for whole k: the claim that rounding down costs nothing. For T = 16 the fractions
// are large. n = 1,000,000: standard deviation under 0.0005; five of them by chance: 6e-7 a size.
TEST(Sampling, RoundedGapsSampleWithTheStatedProbability) {
  constexpr int kCount = 1'000'000;
  uint64_t state = 7;
  std::vector<int> below(65, 0);
  for (int i = 0; i < kCount; ++i) {
    const int64_t gap = next_gap_bytes(state, 16);
    for (int k = 1; k <= 64; ++k) below[k] += gap < k;
  }
  for (int k = 1; k <= 64; ++k) EXPECT_NEAR(1.0 * below[k] / kCount, -std::expm1(-k / 16.0), 0.0025) << k;
}

// E[weight] = truth and E[variance] = variance of the estimate, by the definition of expectation: a block is sampled
// with p and then weighs 1/p, so p * weight must be 1 block and `size` bytes, p * spread the binomial variance (1-p)/p.
TEST(Sampling, WeightsAreUnbiased) {
  for (uint64_t size : {0ull, 1ull, 16ull, 4096ull, 300'000ull, 8ull << 20, 1ull << 30}) {
    const double p = -std::expm1(-(static_cast<double>(size) + 1) / (512 << 10));
    const Weight weight = sample_weight(size, 512 << 10);
    EXPECT_NEAR(p * weight.blocks, 1, 1e-12);
    EXPECT_NEAR(p * weight.bytes, static_cast<double>(size), 1e-12 * static_cast<double>(size));
    EXPECT_NEAR(p * weight.blocks_variance, (1 - p) / p, 1e-9 * (1 - p) / p + 1e-300);
    EXPECT_NEAR(weight.bytes_variance, weight.blocks_variance * static_cast<double>(size) * static_cast<double>(size),
                1e-12 * weight.bytes_variance);
  }
}

}  // namespace
}  // namespace seep
