// SPDX-License-Identifier: Apache-2.0
// The baseline: leaks that were there before, and how much a program allocated. A text file that people review: sorted,
// one table a leak. Plain data; reading takes any bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gate/verdict_set.h"
#include "leaks/estimate.h"
#include "leaks/profile.h"

namespace seep {

struct KnownLeak {
  uint64_t fingerprint = 0;
  BlocksAndBytes amount;
  std::vector<std::string> stack;  // The functions that tell it from others, innermost first.
  std::string note;                // Whatever somebody wrote there; kept.
};

// Of an allocation budget.
struct KnownAllocations {
  std::string function;
  uint64_t calls = 1;
  BlocksAndBytes amount;  // Of so many calls.
};

struct Baseline {
  VerdictSet fail;       // What counted as leaked when it was made.
  bool sampled = false;  // A leak that is not in it may have been there.
  std::vector<KnownLeak> leaks;
  std::vector<KnownAllocations> allocations;
};

// Throws an Error (kUsage) with file and line.
Baseline parse_baseline(const std::string& text, const std::string& path);
std::string baseline_text(Baseline baseline);

// The names of the frames that a fingerprint is made of.
std::vector<std::string> telling_names(const ShownStack& stack);

// Finds a site's leak among those that are known: by its fingerprint, or else, where a compiler has left out frames or
// brought them back (tail calls), by a stack of which one contains the other in order. Each known leak is found once.
class KnownLeaks {
 public:
  explicit KnownLeaks(const Baseline& baseline);

  // To be asked for all sites before the first search: what has its own site is not another's.
  void reserve(uint64_t fingerprint);
  // Null: it is not known.
  const KnownLeak* find(const ShownStack& stack, const BlocksAndBytes& amount);
  // Those that were not found.
  std::vector<const KnownLeak*> gone() const;

 private:
  struct Entry {
    const KnownLeak* leak;
    bool reserved = false;
    bool found = false;
  };
  const KnownLeak* find_alike(const ShownStack& stack, const BlocksAndBytes& amount);

  std::vector<Entry> entries_;
};

}  // namespace seep
