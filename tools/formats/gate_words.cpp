// SPDX-License-Identifier: Apache-2.0
// Saying what the gate found.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>

#include "formats/gate_report.h"
#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

size_t count_of(const GateVerdict& verdict, Standing standing) {
  return static_cast<size_t>(std::count_if(verdict.sites.begin(), verdict.sites.end(),
                                           [standing](const SiteVerdict& site) { return site.standing == standing; }));
}

template <typename Uses>
size_t exceeded_in(const Uses& uses) {
  return static_cast<size_t>(std::count_if(uses.begin(), uses.end(), [](const auto& use) { return use.exceeded; }));
}

std::string plural(size_t count, const char* noun) { return human_count(static_cast<uint64_t>(count), noun); }

// "definitely leaked", or what else fails.
std::string leak_word(const Policy& policy) {
  return policy.fail == VerdictSet{Verdict::kDefinite} ? "leak" : "site that is " + policy.fail.text();
}

std::string counted_leaks(const GateReport& report, size_t count, const char* kind) {
  const std::string leaks =
      kind + (report.policy.fail == VerdictSet{Verdict::kDefinite} ? std::string("leak") : "site");
  return plural(count, leaks.c_str());
}

// What fails, without the obstacles; empty: nothing does.
std::string what_fails(const GateReport& report) {
  const GateVerdict& verdict = report.verdict;
  std::vector<std::string> parts;
  const size_t leaks = count_of(verdict, Standing::kLeak);
  const size_t grown = count_of(verdict, Standing::kGrown);
  if (leaks > 0) parts.push_back(counted_leaks(report, leaks, verdict.has_baseline ? "new " : ""));
  if (grown > 0) parts.push_back(counted_leaks(report, grown, "grown "));
  std::string text = joined(parts, " and ");
  if (!text.empty()) text += ": " + described(verdict.failing);
  parts.clear();
  if (!text.empty()) parts.push_back(text);
  const size_t budgets = exceeded_in(verdict.site_budgets) + exceeded_in(verdict.allocation_budgets);
  if (budgets > 0) parts.push_back(plural(budgets, "budget") + " exceeded");
  const size_t suppressions = exceeded_in(verdict.suppressions);
  if (suppressions > 0) parts.push_back(plural(suppressions, "suppression") + " exceeded");
  if (verdict.strict && !verdict.unused.empty()) {
    parts.push_back(plural(verdict.unused.size(), "rule") + " matched nothing");
  }
  return joined(parts, "; ");
}

std::string what_passes(const GateReport& report) {
  const GateVerdict& verdict = report.verdict;
  if (report.policy.fail.empty()) return "every budget is kept";
  std::string text = verdict.has_baseline ? "no new " + leak_word(report.policy) : "no " + leak_word(report.policy);
  std::vector<std::string> besides;
  const auto add = [&](Standing standing, const char* what) {
    const size_t count = count_of(verdict, standing);
    if (count > 0) besides.push_back(human_count(static_cast<uint64_t>(count)) + " " + what);
  };
  add(Standing::kKnown, "known");
  add(Standing::kNotProved, "not proved to be new");
  add(Standing::kTolerated, "tolerated");
  add(Standing::kBudgeted, "within budgets");
  add(Standing::kSuppressed, "suppressed");
  return besides.empty() ? text : text + " (" + joined(besides, ", ") + ")";
}

std::string named(const ProcessSummary& process) {
  return absl::StrFormat("process %d, %s", process.pid, program_name(process));
}

std::string why(const UnjudgedProcess& unjudged) {
  const ProcessSummary& process = *unjudged.process;
  switch (unjudged.why) {
    case Unjudged::kNotObserved: return "could not be observed: " + printable(process.not_observed_reason);
    case Unjudged::kRunning: return "is still running";
    case Unjudged::kUnfinished: return "did not come to the end of its recording: what it did last is lost";
    case Unjudged::kKilled:
      return (process.ended == Ended::kSignal ? "was " + described_end(process) : "died, unknown how") +
             ", so that no leak scan ran at its end";
    case Unjudged::kNoScan: return "ended without a leak scan (SEEP_OPTIONS=scan=exit asks for one)";
    case Unjudged::kScanFailed: return std::string("has no verdict: ") + why_failed(process.failed_scan->failure());
    case Unjudged::kHeapAsRoots:
      return "has no verdict: not every live block was known, so all of the heap was taken for in use";
  }
  return {};
}

std::string unjudged_process(const UnjudgedProcess& unjudged) { return named(*unjudged.process) + " " + why(unjudged); }

RuleResult leaks_result(const GateReport& report) {
  const GateVerdict& verdict = report.verdict;
  const Limits& limits = report.policy.leaks;
  RuleResult result{.rule = report.policy.fail == VerdictSet{Verdict::kDefinite} ? "leaks" : report.policy.fail.text()};
  const size_t count = count_of(verdict, Standing::kLeak) + count_of(verdict, Standing::kTolerated);
  result.result = count_of(verdict, Standing::kLeak) > 0 ? Result::kFailed : Result::kOk;
  result.text = count == 0 ? "none" : plural(count, "site") + ", " + described(verdict.tolerated);
  if (count > 0 && verdict.has_baseline) result.text += ", not in the baseline";
  if (count > 0 || limits.any()) result.text += "; allowed: " + described_limits(limits);
  return result;
}

void add_baseline(const GateReport& report, std::vector<RuleResult>& results) {
  const GateVerdict& verdict = report.verdict;
  if (!verdict.has_baseline) return;
  RuleResult result{.rule = "baseline"};
  std::vector<std::string> parts;
  const auto add = [&](size_t count, const char* what) {
    if (count > 0) parts.push_back(human_count(static_cast<uint64_t>(count)) + " " + what);
  };
  add(count_of(verdict, Standing::kGrown), "grown");
  add(count_of(verdict, Standing::kKnown), "known");
  add(count_of(verdict, Standing::kNotProved), "not proved to be new");
  add(verdict.gone.size(), "gone (--update removes them)");
  if (count_of(verdict, Standing::kGrown) > 0) result.result = Result::kFailed;
  result.text = parts.empty() ? "no leak is known" : joined(parts, ", ");
  if (report.baseline_change && report.baseline_change->written) {
    result.text += "; written, with " + plural(report.baseline_change->leaks, "leak");
  }
  results.push_back(std::move(result));
}

void add_budgets(const GateReport& report, std::vector<RuleResult>& results) {
  for (const SiteBudgetUse& use : report.verdict.site_budgets) {
    if (use.sites == 0) continue;
    results.push_back({use.exceeded ? Result::kFailed : Result::kOk,
                       "site budget " + printable(use.budget->pattern->text()),
                       described(use.amount) + "; allowed: " + described_limits(use.budget->most)});
  }
  for (const AllocationBudgetUse& use : report.verdict.allocation_budgets) {
    const std::string calls =
        use.budget->calls == 1 ? "in the run" : "in " + human_count(use.budget->calls, "call") + ", in all";
    results.push_back({use.exceeded ? Result::kFailed : Result::kOk,
                       "allocation budget " + printable(use.budget->function->text()),
                       described(use.amount) + " allocated " + calls + "; allowed" +
                           (use.budget->calls == 1 ? "" : " for each") + ": " + described_limits(use.budget->most)});
  }
}

void add_suppressions(const GateReport& report, std::vector<RuleResult>& results) {
  for (const SuppressionUse& use : report.verdict.suppressions) {
    if (use.sites == 0) continue;
    std::string text = described(use.amount);
    if (use.rule->most.any()) text += "; at most: " + described_limits(use.rule->most);
    if (!use.rule->reason.empty()) text += " (" + printable(use.rule->reason) + ")";
    results.push_back({use.exceeded ? Result::kFailed : Result::kNote,
                       "suppression " + use.rule->origin.text() + " " + printable(use.rule->text), text});
  }
}

// A file for many programs has many rules that one of them does not need: most of them are only counted.
void add_unused(const GateReport& report, std::vector<RuleResult>& results) {
  constexpr size_t kNamed = 5;
  const std::vector<UnusedRule>& unused = report.verdict.unused;
  const Result result = report.verdict.strict ? Result::kFailed : Result::kNote;
  for (size_t index = 0; index < std::min(unused.size(), kNamed); ++index) {
    const UnusedRule& rule = unused[index];
    results.push_back({result, "rule " + printable(rule.origin.text()) + " " + printable(rule.text),
                       "matched nothing" + (rule.trouble.empty() ? "" : ": " + printable(rule.trouble))});
  }
  if (unused.size() > kNamed) {
    results.push_back({result, "rules", plural(unused.size() - kNamed, "more rule") + " matched nothing"});
  }
}

void add_coverage(const GateReport& report, std::vector<RuleResult>& results) {
  const Obstacles& obstacles = report.verdict.obstacles;
  if (obstacles.fraction == 1 || obstacles.fraction < obstacles.min_coverage) return;
  results.push_back({Result::kOk, "coverage",
                     absl::StrFormat("%.4g %% of the allocations were recorded; wanted: %.4g %%",
                                     100 * obstacles.fraction, 100 * obstacles.min_coverage)});
}

// Only where a leak was found: it may be known by another name.
void add_missing_symbols(const GateReport& report, std::vector<RuleResult>& results) {
  if (report.verdict.sites.empty()) return;
  for (const Symbolizer::MissingFile& missing : report.profile.missing_symbols) {
    results.push_back({Result::kNote, "symbols", "none for " + printable(missing.path) + " (" + missing.reason + ")"});
  }
}

void add_notes(const GateReport& report, std::vector<RuleResult>& results) {
  const Profile& profile = report.profile;
  for (const std::string& allowed : described_allowances(report))
    results.push_back({Result::kNote, "allowed", allowed});
  if (!report.verdict.obstacles.replaced.empty()) {
    std::vector<std::string> names;
    for (const ProcessSummary* process : report.verdict.obstacles.replaced) {
      const std::string name = program_name(*process);
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
    results.push_back({Result::kNote, "exec",
                       plural(report.verdict.obstacles.replaced.size(), "image") +
                           " ended by exec, with whatever it held: " + joined(names, ", ")});
  }
  if (profile.suppressed.blocks.value() > 0) {
    results.push_back({Result::kNote, "the program's own suppressions",
                       described(profile.suppressed) + " (__lsan_default_suppressions)"});
  }
  if (profile.inherited_leaks.blocks.value() > 0 && !report.policy.fail.has(Verdict::kIndirect)) {
    results.push_back({Result::kNote, "inherited",
                       described(profile.inherited_leaks) + " hang from lost blocks that a process inherited"});
  }
}

std::string per_call(double value) {
  return value == std::round(value) ? human_count(whole_count(value)) : absl::StrFormat("%.2f", value);
}

std::string signed_per_call(double value) {
  if (value == 0) return "0";
  return (value < 0 ? "-" : "+") + per_call(std::abs(value));
}

std::string target(const std::optional<uint64_t>& limit) { return limit ? human_count(*limit) : ""; }

}  // namespace

const char* word(Result result) {
  switch (result) {
    case Result::kOk: return "ok";
    case Result::kNote: return "note";
    case Result::kFailed: return "FAILED";
    case Result::kNotJudged: break;
  }
  return "NOT JUDGED";
}

const char* word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed: return "PASSED";
    case Outcome::kFailed: return "FAILED";
    case Outcome::kNotJudged: break;
  }
  return "NOT JUDGED";
}

std::string headline(const GateReport& report) {
  const std::string failing = what_fails(report);
  if (report.verdict.outcome == Outcome::kPassed) return what_passes(report);
  if (report.verdict.outcome == Outcome::kFailed) return failing;
  const std::vector<std::string> obstacles = described_obstacles(report);
  std::string text = obstacles.front();
  if (obstacles.size() > 1) text += ", and " + plural(obstacles.size() - 1, "more obstacle");
  return failing.empty() ? text : text + ". Besides, " + failing;
}

std::vector<RuleResult> rule_results(const GateReport& report) {
  std::vector<RuleResult> results;
  for (const std::string& obstacle : described_obstacles(report)) {
    results.push_back({Result::kNotJudged, "recording", obstacle});
  }
  // Where there is no judgement, that nothing was found says nothing.
  const bool says_something = report.verdict.outcome != Outcome::kNotJudged || !report.verdict.sites.empty();
  if (!report.policy.fail.empty() && says_something) results.push_back(leaks_result(report));
  add_baseline(report, results);
  add_budgets(report, results);
  add_suppressions(report, results);
  add_unused(report, results);
  add_coverage(report, results);
  add_notes(report, results);
  add_missing_symbols(report, results);
  std::stable_sort(results.begin(), results.end(), [](const RuleResult& left, const RuleResult& right) {
    const auto rank = [](Result result) {
      return result == Result::kNotJudged ? 0 : result == Result::kFailed ? 1 : 2;
    };
    return rank(left.result) < rank(right.result);
  });
  return results;
}

std::vector<std::string> described_obstacles(const GateReport& report) {
  const Obstacles& obstacles = report.verdict.obstacles;
  std::vector<std::string> texts;
  for (const std::string& problem : obstacles.problems) texts.push_back(printable(problem));
  for (const UnjudgedProcess& process : obstacles.unjudged) {
    if (!process.allowed) texts.push_back(unjudged_process(process));
  }
  if (obstacles.nothing_observed && texts.empty()) texts.emplace_back("nothing was observed");
  if (obstacles.fraction < obstacles.min_coverage) {
    texts.push_back(absl::StrFormat("only %.4g %% of the allocations were recorded; wanted: %.4g %% (--min-coverage)",
                                    std::min(100 * obstacles.fraction, 99.99), 100 * obstacles.min_coverage));
  }
  if (!obstacles.untold.empty()) {
    texts.push_back("a sampled recording does not tell what is " + obstacles.untold.text());
  }
  return texts;
}

std::vector<std::string> described_allowances(const GateReport& report) {
  std::vector<std::string> texts;
  for (const UnjudgedProcess& process : report.verdict.obstacles.unjudged) {
    if (process.allowed) texts.push_back(unjudged_process(process));
  }
  return texts;
}

std::string described_standing(const SiteVerdict& judged, bool has_baseline) {
  switch (judged.standing) {
    case Standing::kLeak: return has_baseline ? "new: not in the baseline" : "";
    case Standing::kGrown:
      return absl::StrFormat("grown: %s, %s since the baseline", described_growth_of_bytes(judged.bytes),
                             described_growth_of_blocks(judged.blocks));
    case Standing::kKnown: return "known: in the baseline";
    case Standing::kNotProved: return "not proved to be new";
    case Standing::kTolerated: return "tolerated: within what may be leaked";
    case Standing::kBudgeted: return "within a site budget";
    case Standing::kSuppressed: break;
  }
  return "suppressed";
}

std::string described_limits(const Limits& limits) {
  if (limits.bytes && limits.blocks) {
    return human_count(*limits.bytes, "byte") + " in " + human_count(*limits.blocks, "block");
  }
  if (limits.bytes) return human_count(*limits.bytes, "byte");
  return limits.blocks ? human_count(*limits.blocks, "block") : "none";
}

std::vector<BudgetRow> budget_rows(const GateReport& report) {
  std::vector<BudgetRow> rows;
  for (const AllocationBudgetUse& use : report.verdict.allocation_budgets) {
    const double calls = static_cast<double>(use.budget->calls);
    BudgetRow row{.function = printable(use.budget->function->text()),
                  .now = (use.amount.bytes.sampled ? "~" : "") + per_call(use.bytes()),
                  .target = target(use.budget->most.bytes),
                  .blocks_now = (use.amount.blocks.sampled ? "~" : "") + per_call(use.blocks()),
                  .blocks_target = target(use.budget->most.blocks),
                  .exceeded = use.exceeded};
    if (calls > 1) row.function += absl::StrFormat(" (a call of %s)", human_count(use.budget->calls));
    if (use.before != nullptr) {
      const double before_calls = static_cast<double>(use.before->calls);
      row.change = signed_per_call(use.bytes() - use.before->amount.bytes.value() / before_calls);
      row.blocks_change = signed_per_call(use.blocks() - use.before->amount.blocks.value() / before_calls);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace seep
