// SPDX-License-Identifier: Apache-2.0
// The options of the gate, and what is done for them.
#include "commands/gating.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "commands/arguments.h"
#include "error.h"
#include "formats/human.h"
#include "formats/text_parts.h"
#include "gate/suggestions.h"
#include "gate/text_file.h"

namespace seep {
namespace {

std::chrono::sys_days today() { return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()); }

bool has_gate(const Format& format) { return format.write_gate != nullptr; }

}  // namespace

void add_gate_options(CLI::App& app, GateArguments& arguments, CLI::Option* gate) {
  const auto add = [&](CLI::Option* option, const char* type) {
    if (type != nullptr) option->type_name(type);
    option->group("Gate");
    if (gate != nullptr) option->needs(gate);
    return option;
  };
  const auto add_list = [&](const char* name, std::vector<std::string>& list, const char* what, const char* type) {
    add(app.add_option(name, list, what), type)->allow_extra_args(false);
  };
  add(app.add_option("--policy", arguments.policy, "a file with what follows, as keys (see README.md)"), "FILE");
  add(app.add_option("--fail", arguments.fail,
                     "which verdicts fail: definite (default), indirect, possible, reachable, live, none"),
      "VERDICTS");
  add(app.add_option("--max-bytes", arguments.max_bytes, "so much may be leaked in all"), "SIZE");
  add(app.add_option("--max-blocks", arguments.max_blocks, "so many blocks may be leaked in all"), "N")
      ->check(CLI::NonNegativeNumber);
  add_list("--site-budget", arguments.site_budgets,
           "PATTERN=BYTES/BLOCKS: so much the sites that match may leak together", "BUDGET");
  add_list("--allocation-budget", arguments.allocation_budgets,
           "FUNCTION=BYTES/BLOCKS[@CALLS]: so much it may allocate in the run, or in a call", "BUDGET");
  add_list("--suppressions", arguments.suppressions, "known leaks: a file of LeakSanitizer's, Valgrind's or seep's",
           "FILE");
  add_list("--suppress", arguments.suppress, "known leaks: a function, source file or module of the stack", "PATTERN");
  add(app.add_option("--baseline", arguments.baseline, "fail for leaks alone that are not in it, or have grown"),
      "FILE");
  add(app.add_flag("--update", arguments.update, "make the baseline, or remove and lower what is in it"), nullptr);
  add(app.add_flag("--accept", arguments.accept, "the same, and add and raise"), nullptr);
  add(app.add_option("--min-coverage", arguments.min_coverage,
                     "the least share of allocations to judge by (default: 1 exact, 0.99 sampled)"),
      "SHARE");
  add_list("--allow-unjudged", arguments.allow_unjudged,
           "programs that need no verdict: a name or a path, with * and ?", "PROGRAM");
  add(app.add_option("--confidence", arguments.confidence, "of what is told from samples (default: 0.95)"), "SHARE");
  add(app.add_flag("--strict", arguments.strict, "rules that match nothing fail"), nullptr);
  add(app.add_flag("--suggest", arguments.suggest, "print the suppression of each leak instead"), nullptr);
  add_output_options(app, arguments.outputs, "Gate", gate, has_gate);
}

Gating::Gating(const GateArguments& arguments) : arguments_(arguments), outputs_(arguments.outputs, has_gate) {
  if (!arguments_.policy.empty()) read_policy(arguments_.policy, policy_);
  if (arguments_.fail) policy_.fail = parse_verdicts({"--fail"}, *arguments_.fail);
  if (!arguments_.max_bytes.empty()) {
    policy_.leaks.bytes = arguments_.max_bytes == "0" ? 0 : parse_size("--max-bytes", arguments_.max_bytes);
  }
  if (arguments_.max_blocks) policy_.leaks.blocks = arguments_.max_blocks;
  for (const std::string& text : arguments_.site_budgets) {
    policy_.site_budgets.push_back(parse_site_budget({"--site-budget"}, text));
  }
  for (const std::string& text : arguments_.allocation_budgets) {
    policy_.allocation_budgets.push_back(parse_allocation_budget({"--allocation-budget"}, text));
  }
  for (const std::string& path : arguments_.suppressions) {
    for (Suppression& each : read_suppressions(path)) policy_.suppressions.push_back(std::move(each));
  }
  for (const std::string& pattern : arguments_.suppress) {
    if (pattern.empty()) throw Error(ExitCode::kUsage, "--suppress: an empty pattern would match everything");
    policy_.suppressions.push_back(suppression_of(pattern, {"--suppress"}));
  }
  if (arguments_.min_coverage) {
    check_share({"--min-coverage"}, *arguments_.min_coverage);
    policy_.min_coverage = arguments_.min_coverage;
  }
  if (arguments_.confidence) {
    check_confidence({"--confidence"}, *arguments_.confidence);
    policy_.confidence = *arguments_.confidence;
  }
  for (const std::string& program : arguments_.allow_unjudged) policy_.allow_unjudged.push_back(program);
  policy_.strict |= arguments_.strict;
  if (!arguments_.baseline.empty()) policy_.baseline = arguments_.baseline;
  arguments_.update |= arguments_.accept;
  read_baseline();
}

void Gating::read_baseline() {
  const std::string& path = policy_.baseline;
  if (path.empty()) {
    if (arguments_.update) throw Error(ExitCode::kUsage, "--update and --accept need a --baseline FILE");
    return;
  }
  std::error_code failed;
  if (arguments_.update && !std::filesystem::exists(path, failed)) return;  // It will be made.
  baseline_text_ = read_text_file(path);
  baseline_ = parse_baseline(baseline_text_, path);
  if (baseline_->fail == policy_.fail) return;
  throw Error(ExitCode::kUsage, path,
              "was made where what fails was '" + baseline_->fail.text() + "', and now it is '" + policy_.fail.text() +
                  "': its figures are of something else");
}

std::optional<BaselineChange> Gating::update_baseline(const GateVerdict& verdict, bool sampled) {
  const Baseline* old = baseline_ ? &*baseline_ : nullptr;
  const Baseline updated = updated_baseline(verdict, policy_, old, arguments_.accept, sampled);
  BaselineChange change{policy_.baseline, updated.leaks.size()};
  const std::string text = baseline_text(updated);
  if (text == baseline_text_) return change;
  replace_text_file(policy_.baseline, text);
  change.written = true;
  return change;
}

Gating::Judged Gating::judge(const Profile& profile, const std::vector<Error>& problems, bool may_update, bool kept,
                             const ReportOptions& options) {
  const Baseline* baseline = baseline_ ? &*baseline_ : nullptr;
  GateVerdict verdict = seep::judge(profile, problems, policy_, baseline, today());
  const bool update = arguments_.update && may_update && verdict.outcome != Outcome::kNotJudged;
  std::optional<BaselineChange> change;
  Baseline accepted;
  if (update) {
    change = update_baseline(verdict, profile.sampled);
    // What has been taken into the baseline is known from now on.
    if (baseline == nullptr || arguments_.accept) {
      accepted = parse_baseline(read_text_file(policy_.baseline), policy_.baseline);
      verdict = seep::judge(profile, problems, policy_, &accepted, today());
    }
  }
  const GateReport report{profile, policy_, verdict, change, kept || verdict.outcome != Outcome::kPassed};
  Judged judged{verdict.outcome, {}};
  judged.text =
      outputs_.write(profile, options, [&](const Format& format, const ReportOptions& how, std::string& output) {
        format.write_gate(report, how, output);
      });
  if (arguments_.suggest) judged.text = suggested_suppressions(verdict);
  return judged;
}

}  // namespace seep
