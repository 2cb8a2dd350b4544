// SPDX-License-Identifier: Apache-2.0
//
// The mathematics of sampling by bytes. Lay points on the stream of all allocated bytes with exponential gaps of mean T
// (a Poisson process). A block of `size` bytes takes k = size + 1 of the stream (the 1 gives empty blocks a chance),
// and is sampled if at least one point falls into it: with probability p = 1 - exp(-k/T). By Horvitz and Thompson
// (1952) it then stands for 1/p blocks and size/p bytes, which is unbiased for any mix of sizes, and contributes
// (1-p)/p^2 and size^2 (1-p)/p^2 to an unbiased estimate of the variance. T is kept with each sample, so it may change
// on the way.
//
// Because the exponential distribution has no memory, a thread needs only the distance to its next point. With the gap
// rounded down to whole bytes, P(floor(gap) < k) = P(gap < k) = p for whole k: rounding costs nothing.
//
// Logarithm and exponential are our own: libm would be one more library in every process. Both sides; no state.
#pragma once

#include <bit>
#include <cstdint>

namespace seep {

namespace detail {
inline constexpr double kLn2High = 0x1.62e42fee00000p-1;  // ln 2 in two parts: k * high is exact for |k| < 2^21.
inline constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
}  // namespace detail

// Natural logarithm of a positive normal number, relative error under 1e-14. With m in [sqrt(1/2), sqrt(2)) and
// s = (m-1)/(m+1): ln m = 2 (s + s^3/3 + s^5/5 + ...), |s| < 0.172, so twelve terms leave under 1e-19.
constexpr double natural_log(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  if (mantissa > 1.4142135623730951) {
    mantissa *= 0.5;
    ++exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int n = 23; n >= 1; n -= 2) sum = sum * s * s + 1.0 / n;
  return exponent * detail::kLn2High + (exponent * detail::kLn2Low + 2 * s * sum);
}

// 1 - exp(-x) for x >= 0, relative error under 1e-14, also for tiny x. exp(-x) = 2^-n exp(-r), |r| <= ln(2)/2, and
// exp(-r) - 1 by its series; then 1 - 2^-n (1 + e) = (1 - 2^-n) - 2^-n e without cancellation.
constexpr double one_minus_exp_of_minus(double x) {
  if (x > 40) return 1;  // exp(-40) < 2^-57: 1 to the last bit.
  const int n = static_cast<int>(x / (detail::kLn2High + detail::kLn2Low) + 0.5);
  const double r = (x - n * detail::kLn2High) - n * detail::kLn2Low;
  double series = 0;  // exp(-r) - 1 = -r (1 - r/2 (1 - r/3 (1 - ...)))
  for (int k = 18; k >= 2; --k) series = -r / k * (1 + series);
  const double exp_minus_one = -r * (1 + series);
  const double scale = std::bit_cast<double>(static_cast<uint64_t>(1023 - n) << 52);  // 2^-n
  return (1 - scale) - scale * exp_minus_one;
}

struct Weight {
  double blocks, bytes;                    // What one sample stands for.
  double blocks_variance, bytes_variance;  // What it adds to the variance of the sums.
};

// The weight of a sampled block of `size_bytes`, T = `sample_bytes`.
constexpr Weight sample_weight(uint64_t size_bytes, uint64_t sample_bytes) {
  const double size = static_cast<double>(size_bytes);
  const double p = one_minus_exp_of_minus((size + 1) / static_cast<double>(sample_bytes));
  const double spread = (1 - p) / (p * p);
  return {1 / p, size / p, spread, size * size * spread};
}

// splitmix64 (Steele, Lea, Flood 2014): every 64-bit state is fine, zero included.
constexpr uint64_t next_random(uint64_t& state) {
  state += 0x9E3779B97F4A7C15ull;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

// Bytes until the next sample: floor of an exponential with mean `sample_bytes`, by inversion of (0, 1] in steps of
// 2^-53; at most 37 times the mean.
constexpr int64_t next_gap_bytes(uint64_t& state, uint64_t sample_bytes) {
  const double uniform = static_cast<double>((next_random(state) >> 11) + 1) * 0x1p-53;
  return static_cast<int64_t>(-natural_log(uniform) * static_cast<double>(sample_bytes));
}

}  // namespace seep
