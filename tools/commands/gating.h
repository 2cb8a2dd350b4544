// SPDX-License-Identifier: Apache-2.0
// What `seep gate` and `seep run --gate` share: their options, the files that these name, and the way from a profile to
// a verdict and its outputs.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "commands/outputs.h"
#include "formats/format.h"
#include "formats/gate_report.h"
#include "gate/baseline.h"
#include "gate/policy.h"
#include "recording/recording.h"

namespace seep {

// As they were given.
struct GateArguments {
  std::string policy;
  std::optional<std::string> fail;
  std::string max_bytes;
  std::optional<uint64_t> max_blocks;
  std::vector<std::string> site_budgets;
  std::vector<std::string> allocation_budgets;
  std::vector<std::string> suppressions;  // Files,
  std::vector<std::string> suppress;      // and patterns.
  std::string baseline;
  bool update = false;
  bool accept = false;
  std::optional<double> min_coverage;
  std::vector<std::string> allow_unjudged;
  std::optional<double> confidence;
  bool strict = false;
  bool suggest = false;
  OutputArguments outputs;
};

// Each option that is given needs `gate`, if that is not null.
void add_gate_options(CLI::App& app, GateArguments& arguments, CLI::Option* gate);

class Gating {
 public:
  // Reads the policy, the suppressions and the baseline, before anything is started. Throws an Error (kUsage).
  explicit Gating(const GateArguments& arguments);

  const Policy& policy() const { return policy_; }

  struct Judged {
    Outcome outcome;
    std::string text;  // What is to be shown.
  };
  // Judges, and writes the files that were asked for. `may_update`: of a program that did what it was to do.
  // `options`: how the text is shown. Throws an Error (kUsage) where a file cannot be written.
  Judged judge(const Profile& profile, const std::vector<Error>& problems, bool may_update, bool kept,
               const ReportOptions& options);

 private:
  void read_baseline();
  std::optional<BaselineChange> update_baseline(const GateVerdict& verdict, bool sampled);

  GateArguments arguments_;
  Policy policy_;
  Outputs outputs_;
  std::optional<Baseline> baseline_;
  std::string baseline_text_;  // As it is in the file.
};

}  // namespace seep
