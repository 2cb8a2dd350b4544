// SPDX-License-Identifier: Apache-2.0
// What the formats of a gate's verdict are given, and the words that they share. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gate/policy.h"
#include "gate/verdict.h"
#include "leaks/profile.h"

namespace seep {

// What became of the baseline's file.
struct BaselineChange {
  std::string path;
  size_t leaks = 0;  // That it has now.
  bool written = false;
};

struct GateReport {
  const Profile& profile;
  const Policy& policy;
  const GateVerdict& verdict;
  std::optional<BaselineChange> baseline_change = std::nullopt;
  bool kept = true;  // The recording is there to be looked at.
};

enum class Result { kOk, kNote, kFailed, kNotJudged };

const char* word(Result result);    // "FAILED"
const char* word(Outcome outcome);  // "FAILED"

// One rule, and what came of it.
struct RuleResult {
  Result result = Result::kOk;
  std::string rule;  // "leaks", "site budget load_page"
  std::string text;  // "2 sites: 417,520 bytes in 480 blocks; none is allowed"
};

// "2 leaks: 417,520 bytes (408 KiB) in 480 blocks": why, in one line.
std::string headline(const GateReport& report);

// All that was judged, what failed first.
std::vector<RuleResult> rule_results(const GateReport& report);

// Why there is no verdict, an obstacle each; and those that the policy allows.
std::vector<std::string> described_obstacles(const GateReport& report);
std::vector<std::string> described_allowances(const GateReport& report);

// "new", "grown by +1,000 bytes (+2 blocks) since the baseline", "known": what became of a site. Empty for a leak where
// there is no baseline.
std::string described_standing(const SiteVerdict& judged, bool has_baseline);

// "none", "4,096 bytes", "4,096 bytes in 2 blocks".
std::string described_limits(const Limits& limits);

// A budget's figures, as a row of a table: its function, then for bytes and for blocks now, target and change.
struct BudgetRow {
  std::string function;
  std::string now, target, change;
  std::string blocks_now, blocks_target, blocks_change;
  bool exceeded = false;
};
std::vector<BudgetRow> budget_rows(const GateReport& report);

}  // namespace seep
