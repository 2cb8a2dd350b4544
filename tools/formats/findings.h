// SPDX-License-Identifier: Apache-2.0
// What a gate or a comparison found, as the formats of other tools want it: findings, each of a rule, at a place in the
// code, with a stack; and the checks that were made. Text in them is UTF-8 without control characters. Plain data.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "gate/origin.h"
#include "leaks/profile.h"

namespace seep {

enum class Level { kError, kWarning, kNote };

const char* word(Level level);  // "error"

// A rule, as a reader of the findings is told of it.
struct FindingRule {
  std::string_view id;
  std::string_view title;
  std::string_view description;
  std::string_view help;  // What to do.
  Level level;
};

std::span<const FindingRule> finding_rules();
const FindingRule& finding_rule(std::string_view id);  // Must be there.

struct Finding {
  const FindingRule* rule = nullptr;
  std::string message;                // One line.
  const ShownStack* stack = nullptr;  // Null: it is about no code.
  Origin origin;                      // Without a stack: the line of a file that it is about, if any.
};

// One thing that was looked at: a test case to those who count such.
struct Check {
  std::string name;
  enum class State { kPassed, kFailed, kNotJudged } state = State::kPassed;
  std::string message;
  const ShownStack* stack = nullptr;
};

struct Findings {
  std::string title;     // "seep gate"
  std::string headline;  // "FAILED: 2 leaks: ..."
  std::string subject;   // What ran.
  bool judged = true;
  std::vector<Finding> findings;  // The worst first.
  std::vector<Check> checks;
  std::vector<std::string> notes;  // What else is to be known, a line each.
  double seconds = 0;              // How long that ran.
  std::string text;                // The same for people.
};

Findings findings_of(const GateReport& gate, const ReportOptions& options);
Findings findings_of(const DifferenceReport& report, const ReportOptions& options);

// The functions of a stack, a line each, without those of run-time libraries at its ends: "  f  src/f.cpp:12".
std::string stack_text(const ShownStack& stack, const std::string& source_root);

}  // namespace seep
