// SPDX-License-Identifier: Apache-2.0
// Comparing profiles.
#include "gate/difference.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace seep {
namespace {

BlocksAndBytes amount_of(const Site& site, Quantity quantity) {
  switch (quantity) {
    case Quantity::kLeaked: return site.leaked;
    case Quantity::kLive: return site.activity.live;
    case Quantity::kAllocated: break;
  }
  return site.activity.alloc;
}

// A site of which a sampled recording has no sample may have been there all the same.
BlocksAndBytes not_seen(const BlocksAndBytes& elsewhere, bool sampled) {
  const auto none = [sampled](const Measure& measure) {
    return sampled ? Measure{.unseen_weight = std::max(measure.unseen_weight, unseen_weight(measure)), .sampled = true}
                   : Measure{};
  };
  return {none(elsewhere.blocks), none(elsewhere.bytes)};
}

// 1: more, -1: less, 0: it is not sure.
int sign_of(const Change& change) {
  const double low = change.interval ? change.interval->low : change.value;
  const double high = change.interval ? change.interval->high : change.value;
  return low > 0 ? 1 : high < 0 ? -1 : 0;
}

Direction direction_of(const SiteDifference& site) {
  const int bytes = sign_of(site.bytes);
  const int sign = bytes != 0 ? bytes : sign_of(site.blocks);
  if (sign > 0) return site.amount_before.blocks.value() == 0 ? Direction::kNew : Direction::kGrown;
  if (sign < 0) return site.amount_after.blocks.value() == 0 ? Direction::kGone : Direction::kShrunk;
  return Direction::kSame;
}

// More comes first, then less, then what stays; of these the largest change.
bool ranks_before(const SiteDifference& left, const SiteDifference& right) {
  const auto key = [](const SiteDifference& site) {
    const bool more = site.direction == Direction::kNew || site.direction == Direction::kGrown;
    const int rank = more ? 0 : site.direction == Direction::kSame ? 2 : 1;
    return std::tuple(rank, -std::abs(site.bytes.value), -std::abs(site.blocks.value), site.site().fingerprint);
  };
  return key(left) < key(right);
}

}  // namespace

size_t Difference::count(Direction direction) const {
  return static_cast<size_t>(std::count_if(
      sites.begin(), sites.end(), [direction](const SiteDifference& site) { return site.direction == direction; }));
}

Quantity best_quantity(const Profile& before, const Profile& after) {
  return before.judged() && after.judged() ? Quantity::kLeaked : Quantity::kLive;
}

Difference difference_between(const Profile& before, const Profile& after, Quantity quantity, double confidence) {
  Difference difference{.quantity = quantity, .confidence = confidence, .sampled = before.sampled || after.sampled};
  absl::flat_hash_map<uint64_t, SiteDifference> by_fingerprint;
  for (const Site& site : before.sites) by_fingerprint[site.fingerprint].before = &site;
  for (const Site& site : after.sites) by_fingerprint[site.fingerprint].after = &site;
  for (auto& [fingerprint, site] : by_fingerprint) {
    if (site.before != nullptr) site.amount_before = amount_of(*site.before, quantity);
    if (site.after != nullptr) site.amount_after = amount_of(*site.after, quantity);
    if (site.before == nullptr) site.amount_before = not_seen(site.amount_after, before.sampled);
    if (site.after == nullptr) site.amount_after = not_seen(site.amount_before, after.sampled);
    difference.before += site.amount_before;
    difference.after += site.amount_after;
    if (site.amount_before.blocks.value() > 0 || site.amount_after.blocks.value() > 0) difference.sites.push_back(site);
  }
  const double comparisons =
      difference.sampled ? 2 * std::max<double>(static_cast<double>(difference.sites.size()), 1) : 1;
  const double of_each = 1 - (1 - confidence) / comparisons;
  for (SiteDifference& site : difference.sites) {
    site.bytes = change_between(site.amount_before.bytes, site.amount_after.bytes, of_each);
    site.blocks = change_between(site.amount_before.blocks, site.amount_after.blocks, of_each);
    site.direction = direction_of(site);
  }
  difference.bytes = change_between(difference.before.bytes, difference.after.bytes, confidence);
  difference.blocks = change_between(difference.before.blocks, difference.after.blocks, confidence);
  std::sort(difference.sites.begin(), difference.sites.end(), ranks_before);
  return difference;
}

}  // namespace seep
