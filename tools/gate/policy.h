// SPDX-License-Identifier: Apache-2.0
// What a gate lets pass. Made of a policy file and of options; plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gate/origin.h"
#include "gate/stack_pattern.h"
#include "gate/suppression.h"
#include "gate/verdict_set.h"
#include "leaks/estimate.h"

namespace seep {

// What the sites that match may leak together.
struct SiteBudget {
  std::shared_ptr<StackPattern> pattern;
  Limits most;
  std::string reason;
  Origin origin;
};

// What a function, with all that it calls, may allocate.
struct AllocationBudget {
  std::shared_ptr<StackPattern> function;
  Limits most;         // Of a call.
  uint64_t calls = 1;  // So often it is called: what is allocated can be seen, calls cannot. 1: `most` is of the run.
  Origin origin;
};

struct Policy {
  VerdictSet fail = {Verdict::kDefinite};
  Limits leaks;  // What may be leaked where no other rule says anything; without limits: nothing.
  std::vector<SiteBudget> site_budgets;
  std::vector<AllocationBudget> allocation_budgets;
  std::vector<Suppression> suppressions;
  std::string baseline;                     // A path; empty: none.
  std::optional<double> min_coverage;       // Default: 1 exact, 0.99 sampled.
  std::vector<std::string> allow_unjudged;  // Programs: names or paths, with * and ?.
  double confidence = kConfidence;          // Of all that is told from samples, together.
  bool strict = false;                      // Rules that matched nothing fail.

  // Some rule is about verdicts, so that a leak scan is needed.
  bool needs_verdicts() const { return !fail.empty() && !fail.has(Verdict::kLive); }
};

// Adds what the file says, with the suppressions of the files that it names (paths are relative to its own). Throws an
// Error (kUsage) with file and line.
void read_policy(const std::string& path, Policy& policy);
// The same for the text of such a file. The files that it names are returned, not read.
struct NamedFile {
  std::string path;
  Origin origin;
};
std::vector<NamedFile> parse_policy(const std::string& text, const std::string& path, Policy& policy);

// For options: throw an Error (kUsage) that names the option.
VerdictSet parse_verdicts(const Origin& origin, const std::string& text);                 // "definite,possible"
SiteBudget parse_site_budget(const Origin& origin, const std::string& text);              // "PATTERN=BYTES/BLOCKS"
AllocationBudget parse_allocation_budget(const Origin& origin, const std::string& text);  // the same, and "@CALLS"
void check_share(const Origin& origin, double share);                                     // In [0, 1].
void check_confidence(const Origin& origin, double confidence);                           // In [0.5, 1).

}  // namespace seep
