// SPDX-License-Identifier: Apache-2.0
// What keeps a recording from being judged: a gate fails closed. What was not seen is never clean, and what is broken
// never leaks. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gate/policy.h"
#include "leaks/profile.h"

namespace seep {

// Why nothing can be said of what a process leaks, or not of all of it.
enum class Unjudged {
  kNotObserved,
  kRunning,     // It has not ended,
  kUnfinished,  // or what it did last is lost.
  kKilled,      // By a signal, or it died otherwise: no leak scan ran at its end.
  kNoScan,      // It ended, and none ran.
  kScanFailed,
  kHeapAsRoots,  // One ran that could find nothing: blocks that seep does not know may hold pointers.
};

struct UnjudgedProcess {
  const ProcessSummary* process = nullptr;
  Unjudged why = Unjudged::kNotObserved;
  bool allowed = false;  // By Policy::allow_unjudged.
};

struct Obstacles {
  std::vector<std::string> problems;  // Of streams that could not be read, or not whole.
  bool nothing_observed = false;
  double fraction = 1;      // Of allocations that were recorded,
  double min_coverage = 0;  // and what is wanted.
  VerdictSet untold;        // Of the verdicts that fail: those that a sampled recording does not tell.
  std::vector<UnjudgedProcess> unjudged;
  std::vector<const ProcessSummary*> replaced;  // Images that ended by exec: listed, and in nobody's way.

  // There is no verdict.
  bool any() const;
};

Obstacles obstacles_in(const Profile& profile, const std::vector<Error>& problems, const Policy& policy);

}  // namespace seep
