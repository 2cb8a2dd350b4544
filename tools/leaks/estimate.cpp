// SPDX-License-Identifier: Apache-2.0
// Intervals of sampled sums.
#include "leaks/estimate.h"

#include <algorithm>
#include <boost/math/distributions/gamma.hpp>
#include <cmath>

namespace seep {
namespace {

constexpr double kTail = 0.025;  // On each side of a 95 % interval.
// Upper end for no event seen, on the same tail: -ln(0.025) events.
constexpr double kUnseenEvents = 3.6888794541139363;
// From this shape on the gamma distribution is normal for all purposes, and its quantiles are slow and inexact.
constexpr double kNormalShape = 1e7;
constexpr double kNormalQuantile = 1.959963984540054;

// The quantile of the gamma distribution with a mean and a variance.
double gamma_quantile(double mean, double variance, bool upper) {
  if (mean <= 0 || variance <= 0) return std::max(mean, 0.0);
  const double shape = mean * mean / variance;
  const double scale = variance / mean;
  if (shape > kNormalShape) return mean + (upper ? kNormalQuantile : -kNormalQuantile) * std::sqrt(variance);
  // Nearly all of the distribution is at zero, and the quantile is smaller than a double can hold.
  if (shape < (upper ? 1e-3 : 1e-2)) return 0;
  const boost::math::gamma_distribution<double> distribution(shape, scale);
  return upper ? boost::math::quantile(boost::math::complement(distribution, kTail))
               : boost::math::quantile(distribution, kTail);
}

uint64_t difference(uint64_t all, uint64_t part) { return all - std::min(all, part); }

Measure exact_measure(uint64_t value) { return {.exact = static_cast<double>(value)}; }

// What the plain counts and the weighted sums say about the same blocks.
BlocksAndBytes sampled(uint64_t blocks, uint64_t bytes, const proto::WeightedSum& sum) {
  const auto measure = [blocks](double estimate, float variance, uint64_t proven) {
    // Removing samples one by one leaves rounding errors in the sums: without samples nothing is left.
    if (blocks == 0) return Measure{.sampled = true};
    return Measure{.estimate = std::max(estimate, 0.0),
                   .variance = std::max(static_cast<double>(variance), 0.0),
                   .proven = static_cast<double>(proven),
                   .samples = blocks,
                   .sampled = true};
  };
  return {measure(sum.blocks(), sum.blocks_variance(), blocks), measure(sum.bytes(), sum.bytes_variance(), bytes)};
}

double typical_weight(const Measure& measure) {
  return measure.samples == 0 ? 0 : std::sqrt(measure.variance / static_cast<double>(measure.samples));
}

}  // namespace

double Measure::value_of_samples() const { return std::max(estimate, proven); }

double Measure::value() const { return exact + value_of_samples(); }

std::optional<Interval> Measure::interval() const {
  if (!sampled) return std::nullopt;
  if (samples == 0) return Interval{exact, exact + kUnseenEvents * unseen_weight};
  const double seen = exact + proven;
  const double unseen = estimate - proven;
  if (unseen <= 0 || variance <= 0) return Interval{exact + value_of_samples(), exact + value_of_samples()};
  const double block = proven / static_cast<double>(samples);
  const double one_more = 1 + 1 / static_cast<double>(samples);
  const double weight = variance / unseen;  // Of one unseen block.
  const double unseen_blocks = unseen * one_more / weight;
  const double low = gamma_quantile(unseen, variance, false) - block;
  const double high =
      gamma_quantile(unseen * one_more, variance * one_more, true) + std::min(1.0, unseen_blocks / kTail) * block;
  return Interval{seen + std::clamp(low, 0.0, unseen), seen + std::max(high, unseen)};
}

Measure& Measure::operator+=(const Measure& other) {
  exact += other.exact;
  estimate += other.estimate;
  variance += other.variance;
  proven += other.proven;
  samples += other.samples;
  unseen_weight = std::max(unseen_weight, other.unseen_weight);
  sampled |= other.sampled;
  return *this;
}

Activity& Activity::operator+=(const Activity& other) {
  live += other.live;
  alloc += other.alloc;
  temporary_blocks += other.temporary_blocks;
  freed_samples += other.freed_samples;
  return *this;
}

Activity activity_of(const proto::TraceCounters& counters, bool exact) {
  const uint64_t live_blocks = difference(counters.alloc_blocks(), counters.free_blocks());
  const uint64_t live_bytes = difference(counters.alloc_bytes(), counters.free_bytes());
  Activity activity;
  activity.freed_samples = counters.free_blocks();
  if (exact) {
    activity.alloc = {exact_measure(counters.alloc_blocks()), exact_measure(counters.alloc_bytes())};
    activity.live = {exact_measure(live_blocks), exact_measure(live_bytes)};
    activity.temporary_blocks = exact_measure(counters.temporary_blocks());
    return activity;
  }
  activity.alloc = sampled(counters.alloc_blocks(), counters.alloc_bytes(), counters.alloc_estimate());
  activity.live = sampled(live_blocks, live_bytes, counters.live_estimate());
  activity.temporary_blocks =
      sampled(counters.temporary_blocks(), counters.temporary_blocks(), counters.temporary_estimate()).blocks;
  activity.live.blocks.unseen_weight = typical_weight(activity.alloc.blocks);
  activity.live.bytes.unseen_weight = typical_weight(activity.alloc.bytes);
  activity.temporary_blocks.unseen_weight = activity.live.blocks.unseen_weight;
  return activity;
}

}  // namespace seep
