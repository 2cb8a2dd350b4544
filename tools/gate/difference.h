// SPDX-License-Identifier: Apache-2.0
// What is different between two recordings, site by site. Plain data about two profiles, which must outlive it.
//
// Of samples a site is new, grown, shrunk or gone only where the interval of the difference says so, at the confidence
// for all sites together (Bonferroni), as in verdict.h.
#pragma once

#include <string_view>
#include <vector>

#include "leaks/profile.h"

namespace seep {

// What is compared.
enum class Quantity {
  kLeaked,     // Definite blocks and what they hold,
  kLive,       // what was live at the end,
  kAllocated,  // or all that was allocated.
};

enum class Direction { kNew, kGrown, kShrunk, kGone, kSame };

struct SiteDifference {
  const Site* before = nullptr;  // Null: it was not there.
  const Site* after = nullptr;   // Null: it is not there any more.
  Direction direction = Direction::kSame;
  BlocksAndBytes amount_before;
  BlocksAndBytes amount_after;
  Change bytes;
  Change blocks;

  const Site& site() const { return after != nullptr ? *after : *before; }
};

struct Difference {
  Quantity quantity = Quantity::kLive;
  double confidence = kConfidence;  // For all sites together.
  bool sampled = false;             // One of the two is.
  std::vector<SiteDifference>
      sites;              // Of which there is any amount: new and grown ones first, the largest change first.
  BlocksAndBytes before;  // All sites.
  BlocksAndBytes after;
  Change bytes;
  Change blocks;

  size_t count(Direction direction) const;
};

// What is compared where nobody says: what is leaked, if a leak scan ran in both.
Quantity best_quantity(const Profile& before, const Profile& after);

Difference difference_between(const Profile& before, const Profile& after, Quantity quantity,
                              double confidence = kConfidence);

}  // namespace seep
