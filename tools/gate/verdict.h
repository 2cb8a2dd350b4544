// SPDX-License-Identifier: Apache-2.0
// The verdict of the gate: what leaks by the policy, what accounts for it, and what is left. Plain data about a
// profile, a policy and a baseline, which must outlive it. One thread.
//
// Each site of which blocks have a verdict that fails is counted. First come suppressions, then site budgets, then the
// baseline; what is left may be leaked within the policy's limits for the whole, which are none: then any leak fails.
//
// Of samples the lower end of an interval must be over a limit, and of a difference over 0. That is at the policy's
// confidence for all of them together, however many sites there are: each comparison takes its share (Bonferroni), so
// that a gate without anything to find fails for it at most so often as its confidence leaves open.
#pragma once

#include <string>
#include <vector>

#include "gate/baseline.h"
#include "gate/obstacles.h"
#include "gate/policy.h"
#include "leaks/profile.h"

namespace seep {

enum class Outcome { kPassed, kFailed, kNotJudged };

// What became of a site.
enum class Standing {
  kLeak,       // Fails: nothing accounts for it.
  kGrown,      // Fails: the baseline knows less.
  kKnown,      // In the baseline.
  kNotProved,  // Sampled: it may have been there when the baseline was made.
  kTolerated,  // Within what may be leaked in all.
  kBudgeted,   // A site budget is for it, which judges the sum.
  kSuppressed,
};

struct SiteVerdict {
  const Site* site = nullptr;
  Standing standing = Standing::kLeak;
  VerdictSet verdicts;               // Those that counted blocks have.
  BlocksAndBytes amount;             // What of it counts, and no suppression covers (of a suppressed one: what does).
  const KnownLeak* known = nullptr;  // As the baseline has it.
  BlocksAndBytes before;             // kGrown, kKnown, kNotProved: what the baseline knows,
  Change bytes;                      // and what has changed.
  Change blocks;

  bool fails() const { return standing == Standing::kLeak || standing == Standing::kGrown; }
};

// What a rule applied to.
struct SuppressionUse {
  const Suppression* rule = nullptr;
  size_t sites = 0;
  BlocksAndBytes amount;
  const Site* largest = nullptr;
  bool expired = false;   // It would have matched, and holds no longer.
  bool exceeded = false;  // More than it may suppress: fails.
};

struct SiteBudgetUse {
  const SiteBudget* budget = nullptr;
  size_t sites = 0;
  BlocksAndBytes amount;
  const Site* largest = nullptr;
  bool exceeded = false;
};

struct AllocationBudgetUse {
  const AllocationBudget* budget = nullptr;
  size_t sites = 0;
  BlocksAndBytes amount;                     // Of all its calls.
  const KnownAllocations* before = nullptr;  // As the baseline has it.
  const Site* largest = nullptr;
  bool exceeded = false;

  // Of a call.
  double bytes() const { return amount.bytes.value() / static_cast<double>(budget->calls); }
  double blocks() const { return amount.blocks.value() / static_cast<double>(budget->calls); }
};

struct UnusedRule {
  std::string text;
  Origin origin;
  std::string trouble;  // Why it cannot match, if that is known.
};

struct GateVerdict {
  Outcome outcome = Outcome::kPassed;
  Obstacles obstacles;
  std::vector<SiteVerdict> sites;            // Failing ones first, else as they are ranked in the profile.
  BlocksAndBytes failing;                    // The sum of those that fail.
  BlocksAndBytes tolerated;                  // What nothing but the limits for the whole accounts for.
  bool over_limits = false;                  // And it is more.
  std::vector<SuppressionUse> suppressions;  // Of each rule, in the policy's order.
  std::vector<SiteBudgetUse> site_budgets;
  std::vector<AllocationBudgetUse> allocation_budgets;
  bool has_baseline = false;
  std::vector<const KnownLeak*> gone;  // In the baseline, and not any more.
  std::vector<UnusedRule> unused;      // Rules that matched nothing; with Policy::strict that fails.
  bool strict = false;
  double confidence = kConfidence;  // Of each comparison.

  size_t failing_sites() const;
  const SiteVerdict* worst() const;  // Null: no site fails.
};

// `baseline`: null, there is none. `today`: for suppressions that expire.
GateVerdict judge(const Profile& profile, const std::vector<Error>& problems, const Policy& policy,
                  const Baseline* baseline, std::chrono::sys_days today);

// What the baseline should be after this: less than it was, never more; with `accept`, what is now. `old` null: all
// that is known now. Not to be asked of what was not judged.
Baseline updated_baseline(const GateVerdict& verdict, const Policy& policy, const Baseline* old, bool accept,
                          bool sampled);

}  // namespace seep
