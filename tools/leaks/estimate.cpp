// SPDX-License-Identifier: Apache-2.0
// Intervals of sampled sums.
#include "leaks/estimate.h"

#include <algorithm>
#include <boost/math/distributions/gamma.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

namespace seep {
namespace {

// From this shape on the gamma distribution is normal for all purposes, and its quantiles are slow and inexact.
constexpr double kNormalShape = 1e7;

// What is left out on each side of an interval.
double tail_of(double confidence) { return (1 - confidence) / 2; }

// Upper end for no event seen: so many events would not be missed.
double unseen_events(double tail) { return -std::log(tail); }

// The quantile of the gamma distribution with a mean and a variance.
double gamma_quantile(double mean, double variance, double tail, bool upper) {
  if (mean <= 0 || variance <= 0) return std::max(mean, 0.0);
  const double shape = mean * mean / variance;
  const double scale = variance / mean;
  if (shape > kNormalShape) {
    const double quantile = boost::math::quantile(boost::math::normal_distribution<double>(), tail);
    return mean + (upper ? -quantile : quantile) * std::sqrt(variance);
  }
  // Nearly all of the distribution is at zero, and the quantile is smaller than a double can hold.
  if (shape < (upper ? tail / 25 : 1e-2)) return 0;
  const boost::math::gamma_distribution<double> distribution(shape, scale);
  return upper ? boost::math::quantile(boost::math::complement(distribution, tail))
               : boost::math::quantile(distribution, tail);
}

uint64_t difference(uint64_t all, uint64_t part) { return all - std::min(all, part); }

Measure exact_measure(uint64_t value) { return {.exact = static_cast<double>(value)}; }

using Weighted = CounterSums::Weighted;

Weighted weighted(const proto::WeightedSum& sum) {
  return {sum.blocks(), sum.bytes(), sum.blocks_variance(), sum.bytes_variance()};
}

// What the plain counts and the weighted sums say about the same blocks.
BlocksAndBytes sampled(uint64_t blocks, uint64_t bytes, const Weighted& sum) {
  const auto measure = [blocks](double estimate, double variance, uint64_t proven) {
    // Removing samples one by one leaves rounding errors in the sums: without samples nothing is left.
    if (blocks == 0) return Measure{.sampled = true};
    return Measure{.estimate = std::max(estimate, 0.0),
                   .variance = std::max(variance, 0.0),
                   .proven = static_cast<double>(proven),
                   .samples = blocks,
                   .sampled = true};
  };
  return {measure(sum.blocks, sum.blocks_variance, blocks), measure(sum.bytes, sum.bytes_variance, bytes)};
}

// The sum over the samples that are in `all` and not in `part`. Variances are single precision in a stream: what their
// rounding may hide counts as there.
Weighted difference(const Weighted& all, const Weighted& part) {
  constexpr double kRounding = 0x1p-24;
  return {all.blocks - part.blocks, all.bytes - part.bytes,
          all.blocks_variance - part.blocks_variance + kRounding * (all.blocks_variance + part.blocks_variance),
          all.bytes_variance - part.bytes_variance + kRounding * (all.bytes_variance + part.bytes_variance)};
}

uint64_t live_blocks(const CounterSums& sums) { return difference(sums.alloc_blocks, sums.free_blocks); }
uint64_t live_bytes(const CounterSums& sums) { return difference(sums.alloc_bytes, sums.free_bytes); }

BlocksAndBytes live(const CounterSums& sums, bool exact) {
  if (exact) return {exact_measure(live_blocks(sums)), exact_measure(live_bytes(sums))};
  return sampled(live_blocks(sums), live_bytes(sums), sums.live);
}

Interval interval_or_point(const Measure& measure, double confidence) {
  return measure.interval(confidence).value_or(Interval{measure.value(), measure.value()});
}

// Of `gained` minus `lost` around a value.
Interval difference(const Measure& gained, const Measure& lost, double value, double confidence) {
  const Interval gain = interval_or_point(gained, confidence);
  const Interval loss = interval_or_point(lost, confidence);
  const double samples = static_cast<double>(std::max<uint64_t>(gained.samples + lost.samples, 1));
  const double half_block = (gained.proven + lost.proven) / samples / 2;
  const auto reach = [half_block](double one, double other) {
    const double recovered = std::hypot(one, other);
    return recovered + std::min(half_block, recovered / 2);
  };
  return {value - reach(gained.value() - gain.low, loss.high - lost.value()),
          value + reach(gain.high - gained.value(), lost.value() - loss.low)};
}

Change change(const Measure& allocated, const Measure& freed, const Measure& before, const Measure& after,
              double confidence) {
  Change change{.value = after.value() - before.value()};
  if (!after.sampled) return change;
  const bool few_new = allocated.variance + freed.variance <= after.variance + before.variance;
  change.interval = few_new ? difference(allocated, freed, change.value, confidence)
                            : difference(after, before, change.value, confidence);
  return change;
}

// Snapshots between others leave it out of a trace with live blocks, and with it how old the freed ones were.
bool says_what_was_temporary(const proto::TraceCounters& counters) {
  const bool none_was_freed = counters.free_blocks() == 0, all_were = counters.free_blocks() == counters.alloc_blocks();
  return none_was_freed || all_were || counters.temporary_blocks() != 0 || counters.lifetime_blocks_size() != 0;
}

}  // namespace

// Of N blocks of probability p none is sampled with probability (1-p)^N, so 1 / -ln(1-p) of them are as one event.
double unseen_weight(const Measure& measure) {
  if (measure.samples == 0 || measure.proven <= 0 || measure.variance <= 0) return 0;
  const double samples = static_cast<double>(measure.samples);
  const double block = measure.proven / samples;
  const double spread = measure.variance / (samples * block * block);  // (1-p) / p^2
  const double p = 2 / (1 + std::sqrt(1 + 4 * spread));
  return block / -std::log1p(-p);
}

double Measure::value_of_samples() const { return std::max(estimate, proven); }

double Measure::value() const { return exact + value_of_samples(); }

std::optional<Interval> Measure::interval(double confidence) const {
  if (!sampled) return std::nullopt;
  const double tail = tail_of(confidence);
  if (samples == 0) return Interval{exact, exact + unseen_events(tail) * unseen_weight};
  const double seen = exact + proven;
  const double unseen = estimate - proven;
  if (unseen <= 0 || variance <= 0) return Interval{exact + value_of_samples(), exact + value_of_samples()};
  const double block = proven / static_cast<double>(samples);
  const double one_more = 1 + 1 / static_cast<double>(samples);
  const double weight = variance / unseen;  // Of one unseen block.
  const double unseen_blocks = unseen * one_more / weight;
  const double low = gamma_quantile(unseen, variance, tail, false) - block;
  const double high =
      gamma_quantile(unseen * one_more, variance * one_more, tail, true) + std::min(1.0, unseen_blocks / tail) * block;
  return Interval{seen + std::clamp(low, 0.0, unseen), seen + std::max(high, unseen)};
}

Measure& Measure::operator+=(const Measure& other) {
  exact += other.exact;
  if (!other.sampled) return *this;  // Then it is nothing else.
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
  temporary_is_known &= other.temporary_is_known;
  freed_samples += other.freed_samples;
  return *this;
}

Activity activity_of(const proto::TraceCounters& counters, bool exact) {
  const CounterSums sums = sums_of(counters);
  Activity activity;
  activity.freed_samples = counters.free_blocks();
  activity.temporary_is_known = says_what_was_temporary(counters);
  activity.live = live(sums, exact);
  if (exact) {
    activity.alloc = {exact_measure(sums.alloc_blocks), exact_measure(sums.alloc_bytes)};
    activity.temporary_blocks = exact_measure(counters.temporary_blocks());
    return activity;
  }
  activity.alloc = sampled(sums.alloc_blocks, sums.alloc_bytes, sums.alloc);
  activity.temporary_blocks =
      sampled(counters.temporary_blocks(), counters.temporary_blocks(), weighted(counters.temporary_estimate())).blocks;
  activity.live.blocks.unseen_weight = unseen_weight(activity.alloc.blocks);
  activity.live.bytes.unseen_weight = unseen_weight(activity.alloc.bytes);
  activity.temporary_blocks.unseen_weight = activity.live.blocks.unseen_weight;
  return activity;
}

BlocksAndBytes counted(uint64_t blocks, uint64_t bytes) { return {exact_measure(blocks), exact_measure(bytes)}; }

BlocksAndBytes part_of_samples(const proto::TraceCounters& trace, uint64_t blocks, uint64_t bytes,
                               const proto::WeightedSum& estimate) {
  BlocksAndBytes part = sampled(blocks, bytes, weighted(estimate));
  const BlocksAndBytes all = sampled(trace.alloc_blocks(), trace.alloc_bytes(), weighted(trace.alloc_estimate()));
  part.blocks.unseen_weight = unseen_weight(all.blocks);
  part.bytes.unseen_weight = unseen_weight(all.bytes);
  return part;
}

Growth growth_of(const CounterSums& before, const CounterSums& after, bool exact) {
  const uint64_t alloc_blocks = difference(after.alloc_blocks, before.alloc_blocks);
  const uint64_t alloc_bytes = difference(after.alloc_bytes, before.alloc_bytes);
  const uint64_t free_blocks = difference(after.free_blocks, before.free_blocks);
  const uint64_t free_bytes = difference(after.free_bytes, before.free_bytes);
  Growth growth{.before = live(before, exact), .after = live(after, exact)};
  if (exact) {
    growth.allocated = {exact_measure(alloc_blocks), exact_measure(alloc_bytes)};
    growth.freed = {exact_measure(free_blocks), exact_measure(free_bytes)};
    return growth;
  }
  growth.allocated = sampled(alloc_blocks, alloc_bytes, difference(after.alloc, before.alloc));
  growth.freed = sampled(free_blocks, free_bytes,
                         difference(difference(after.alloc, after.live), difference(before.alloc, before.live)));
  const BlocksAndBytes all = sampled(after.alloc_blocks, after.alloc_bytes, after.alloc);
  for (BlocksAndBytes* part : {&growth.allocated, &growth.freed, &growth.before, &growth.after}) {
    part->blocks.unseen_weight = unseen_weight(all.blocks);
    part->bytes.unseen_weight = unseen_weight(all.bytes);
  }
  return growth;
}

Change change_between(const Measure& before, const Measure& after, double confidence) {
  Change change{.value = after.value() - before.value()};
  if (before.sampled || after.sampled) change.interval = difference(after, before, change.value, confidence);
  return change;
}

Change Growth::blocks(double confidence) const {
  return change(allocated.blocks, freed.blocks, before.blocks, after.blocks, confidence);
}

Change Growth::bytes(double confidence) const {
  return change(allocated.bytes, freed.bytes, before.bytes, after.bytes, confidence);
}

Growth& Growth::operator+=(const Growth& other) {
  allocated += other.allocated;
  freed += other.freed;
  before += other.before;
  after += other.after;
  return *this;
}

}  // namespace seep
