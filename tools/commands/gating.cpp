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

namespace fs = std::filesystem;

// The work tree that the working directory is in, else the working directory.
std::string default_source_root() {
  std::error_code failed;
  const fs::path here = fs::current_path(failed);
  for (fs::path directory = here; !directory.empty(); directory = directory.parent_path()) {
    if (fs::exists(directory / ".git", failed)) return directory.string();
    if (directory == directory.root_path()) break;
  }
  return here.string();
}

std::chrono::sys_days today() { return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()); }

// `%p` the pid, `%e` the executable's name, `%%` a percent sign, as in the names of streams.
std::string file_name(const std::string& pattern, const Profile& profile) {
  std::string name;
  for (size_t at = 0; at < pattern.size(); ++at) {
    const char next = pattern[at] == '%' && at + 1 < pattern.size() ? pattern[at + 1] : '\0';
    if (next == '%' || next == 'p' || next == 'e') ++at;
    if (next == '%') name += '%';
    if (next == 'p' && !profile.processes.empty()) name += std::to_string(profile.processes.front().pid);
    if (next == 'e' && !profile.processes.empty()) name += program_name(profile.processes.front());
    if (next != '%' && next != 'p' && next != 'e') name += pattern[at];
  }
  return name;
}

std::string names_of_formats() {
  std::string names;
  for (const Format& format : all_formats()) {
    if (format.write_gate != nullptr) names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  return names;
}

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
  add(app.add_option("--format", arguments.format, "what is printed: " + names_of_formats() + " (default: text)"),
      "FORMAT");
  for (const Format& format : all_formats()) {
    if (format.write_gate == nullptr) continue;
    const auto take = [&arguments, &format](const std::string& path) { arguments.outputs.emplace_back(&format, path); };
    add(app.add_option_function<std::string>("--" + std::string(format.name), take,
                                             "also to a file (%e program, %p pid): " + std::string(format.description)),
        "FILE");
  }
  add(app.add_option("--source-root", arguments.source_root,
                     "sources are named relative to it (default: the work tree of git, or this directory)"),
      "DIR");
  add(app.add_option("--top", arguments.top, "show only the first N sites"), "N")->check(CLI::NonNegativeNumber);
}

Gating::Gating(const GateArguments& arguments) : arguments_(arguments) {
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
  check_outputs();
  format_ = find_format(arguments_.format);
  if (format_ == nullptr || format_->write_gate == nullptr) {
    throw Error(ExitCode::kUsage, "--format: '" + arguments_.format + "' is none of " + names_of_formats());
  }
  std::error_code failed;
  source_root_ =
      arguments_.source_root.empty() ? default_source_root() : fs::canonical(arguments_.source_root, failed).string();
  if (failed) throw Error(ExitCode::kUsage, "--source-root", "'" + arguments_.source_root + "' is no directory");
}

void Gating::read_baseline() {
  const std::string& path = policy_.baseline;
  if (path.empty()) {
    if (arguments_.update) throw Error(ExitCode::kUsage, "--update and --accept need a --baseline FILE");
    return;
  }
  std::error_code failed;
  if (arguments_.update && !fs::exists(path, failed)) return;  // It will be made.
  baseline_text_ = read_text_file(path);
  baseline_ = parse_baseline(baseline_text_, path);
  if (baseline_->fail == policy_.fail) return;
  throw Error(ExitCode::kUsage, path,
              "was made where what fails was '" + baseline_->fail.text() + "', and now it is '" + policy_.fail.text() +
                  "': its figures are of something else");
}

// Where a file cannot be made for want of its directory, that is better known before the program has run for an hour.
void Gating::check_outputs() const {
  for (const auto& [format, path] : arguments_.outputs) {
    std::error_code failed;
    const fs::path parent = fs::absolute(path, failed).parent_path();
    if (path.empty() || !fs::is_directory(parent, failed)) {
      throw Error(ExitCode::kUsage, "--" + std::string(format->name), "'" + path + "' is in no directory");
    }
  }
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

void Gating::write_files(const GateReport& report, ReportOptions options) const {
  options.color = false;
  options.short_report = false;
  for (const auto& [format, path] : arguments_.outputs) {
    std::string output;
    format->write_gate(report, options, output);
    replace_text_file(file_name(path, report.profile), output);
  }
}

Gating::Judged Gating::judge(const Profile& profile, const std::vector<Error>& problems, bool may_update, bool kept,
                             ReportOptions options) {
  options.source_root = source_root_;
  options.top = arguments_.top;
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
  write_files(report, options);
  Judged judged{verdict.outcome, {}};
  if (arguments_.suggest) {
    judged.text = suggested_suppressions(verdict);
  } else {
    format_->write_gate(report, options, judged.text);
  }
  return judged;
}

}  // namespace seep
