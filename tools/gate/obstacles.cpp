// SPDX-License-Identifier: Apache-2.0
// Looking at each process, and at the whole.
#include "gate/obstacles.h"

#include <algorithm>

#include "text.h"

namespace seep {
namespace {

constexpr double kExactCoverage = 1;
constexpr double kSampledCoverage = 0.99;

std::optional<Unjudged> why_unjudged(const ProcessSummary& process, bool needs_verdicts) {
  if (!process.observed) return Unjudged::kNotObserved;
  if (process.ended == Ended::kExec) return std::nullopt;
  if (process.ended == Ended::kRunning) return Unjudged::kRunning;
  if (process.tail_lost) return Unjudged::kUnfinished;
  if (process.ended == Ended::kSignal || process.ended == Ended::kUnknown) return Unjudged::kKilled;
  if (!needs_verdicts) return std::nullopt;
  if (!process.judged_at_end) return process.failed_scan ? Unjudged::kScanFailed : Unjudged::kNoScan;
  if (process.scan && process.scan->heap_as_roots()) return Unjudged::kHeapAsRoots;
  return std::nullopt;
}

bool is_allowed(const ProcessSummary& process, const Policy& policy) {
  const std::string name(module_base_name(process.executable));
  const std::string called = process.command.empty() ? "" : process.command.front();
  return std::any_of(policy.allow_unjudged.begin(), policy.allow_unjudged.end(), [&](const std::string& pattern) {
    if (pattern.find('/') != pattern.npos) return matches_glob(process.executable, pattern);
    return matches_glob(name, pattern) || matches_glob(module_base_name(called), pattern);
  });
}

// Of a sampled recording a scan tells what is definite; what else is leaked stays live.
VerdictSet untold_verdicts(const Profile& profile, const Policy& policy) {
  const VerdictSet told = {Verdict::kDefinite, Verdict::kLive};
  return profile.sampled && policy.needs_verdicts() ? policy.fail.without(told) : VerdictSet{};
}

}  // namespace

bool Obstacles::any() const {
  const bool refused =
      std::any_of(unjudged.begin(), unjudged.end(), [](const UnjudgedProcess& process) { return !process.allowed; });
  return !problems.empty() || nothing_observed || fraction < min_coverage || !untold.empty() || refused;
}

Obstacles obstacles_in(const Profile& profile, const std::vector<Error>& problems, const Policy& policy) {
  Obstacles obstacles;
  for (const Error& problem : problems) obstacles.problems.emplace_back(problem.what());
  obstacles.min_coverage = policy.min_coverage.value_or(profile.sampled ? kSampledCoverage : kExactCoverage);
  if (profile.observed()) obstacles.fraction = profile.coverage.fraction();
  obstacles.untold = untold_verdicts(profile, policy);
  for (const ProcessSummary& process : profile.processes) {
    if (process.observed && process.ended == Ended::kExec) obstacles.replaced.push_back(&process);
    const auto why = why_unjudged(process, policy.needs_verdicts());
    if (why) obstacles.unjudged.push_back({&process, *why, is_allowed(process, policy)});
  }
  const bool all_allowed = std::all_of(obstacles.unjudged.begin(), obstacles.unjudged.end(),
                                       [](const UnjudgedProcess& process) { return process.allowed; });
  obstacles.nothing_observed = !profile.observed() && !(all_allowed && !profile.processes.empty());
  return obstacles;
}

}  // namespace seep
