// SPDX-License-Identifier: Apache-2.0
// What the formats of a comparison are given, and the words that they share. Pure.
#pragma once

#include <string>
#include <vector>

#include "gate/difference.h"

namespace seep {

struct DifferenceReport {
  const Profile& before;
  const Profile& after;
  const Difference& difference;
  std::vector<std::string> problems;  // Of streams that could not be read whole: figures may be too small.
};

const char* word(Direction direction);  // "new"
const char* word(Quantity quantity);    // "leaked"

// "2 new, 1 grown, 3 shrunk; 12 as before"
std::string counts_text(const Difference& difference);
// "leaked: 400 bytes in 3 blocks, after 200 bytes in 2 blocks: +200 B, +1 block"
std::string totals_text(const Difference& difference);
// "+200 B, +1 block; 400 bytes in 3 blocks, after 200 bytes in 2 blocks"
std::string change_text(const SiteDifference& site);

}  // namespace seep
