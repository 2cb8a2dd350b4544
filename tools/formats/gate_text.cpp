// SPDX-License-Identifier: Apache-2.0
// The gate's verdict for people. The first screen says whether it passed, by which rule it did not, the worst sites,
// and the command to look closer. A gate that passed is a few lines.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/format.h"
#include "formats/gate_report.h"
#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

constexpr size_t kDefaultSites = 10;
constexpr size_t kShortReportSites = 3;
constexpr char kAllocationBudget[] = "allocation budget";

void write_headline(const GateReport& gate, const TextReport& report) {
  const bool passed = gate.verdict.outcome == Outcome::kPassed;
  absl::StrAppendFormat(&report.output, "%s%sseep gate %s%s: %s\n", report.style.bold,
                        passed ? "" : report.style.accent, word(gate.verdict.outcome), report.style.plain,
                        headline(gate));
  if (gate.profile.processes.empty()) return;
  absl::StrAppendFormat(&report.output, "%s%s, %s%s\n", report.style.dim, who_ran(gate.profile),
                        how_it_ran(gate.profile), report.style.plain);
}

// A line for each rule: what it allows, and what there was. Of one that passed only what is not in the headline; of
// allocation budgets there is a table.
void write_rules(const GateReport& gate, const TextReport& report) {
  std::vector<RuleResult> results = rule_results(gate);
  if (results.size() == 1 && gate.verdict.outcome == Outcome::kPassed) results.clear();
  std::erase_if(results, [](const RuleResult& result) { return result.rule.starts_with(kAllocationBudget); });
  size_t width = 0;
  for (const RuleResult& result : results) width = std::max(width, columns(word(result.result)));
  for (const RuleResult& result : results) {
    const bool bad = result.result == Result::kFailed || result.result == Result::kNotJudged;
    absl::StrAppendFormat(&report.output, "  %s%s%s  %s: %s\n", bad ? report.style.accent : "",
                          padded(word(result.result), width), report.style.plain, result.rule, result.text);
  }
  if (gate.verdict.outcome != Outcome::kPassed) report.output += '\n';
}

void write_budgets(const GateReport& gate, const TextReport& report) {
  const std::vector<BudgetRow> budgets = budget_rows(gate);
  if (budgets.empty()) return;
  std::vector<TextRow> rows = {{"Allocations of", "bytes", "target", "change", "blocks", "target", "change"}};
  std::vector<std::string> remarks = {""};
  for (const BudgetRow& budget : budgets) {
    rows.push_back({shortened_function(budget.function, 60), budget.now, budget.target, budget.change,
                    budget.blocks_now, budget.blocks_target, budget.blocks_change});
    remarks.emplace_back(budget.exceeded ? "FAILED" : "ok");
  }
  write_table(report, rows, remarks);
  report.output += '\n';
}

// Where sites are told of, their numbers are those of `seep report`.
void write_sites(const GateReport& gate, const TextReport& report) {
  const std::vector<SiteVerdict>& sites = gate.verdict.sites;
  const size_t failing = gate.verdict.failing_sites();
  const size_t most = report.options.full           ? sites.size()
                      : report.options.top          ? *report.options.top
                      : report.options.short_report ? kShortReportSites
                                                    : kDefaultSites;
  const size_t shown = std::min(most, report.options.full ? sites.size() : failing);
  for (size_t index = 0; index < shown; ++index) {
    const SiteVerdict& judged = sites[index];
    const std::string standing = described_standing(judged, gate.verdict.has_baseline);
    if (!standing.empty()) absl::StrAppendFormat(&report.output, "      %s\n", standing);
    write_site(report, static_cast<size_t>(judged.site - gate.profile.sites.data()));
  }
  if (shown < failing) {
    absl::StrAppendFormat(&report.output, "      and %s\n\n",
                          human_count(static_cast<uint64_t>(failing - shown), "more site"));
  }
}

void write_next(const GateReport& gate, const TextReport& report) {
  if (gate.verdict.outcome == Outcome::kPassed || !gate.kept) return;
  const std::string& paths = report.options.next_command_paths;
  absl::StrAppendFormat(&report.output, "%sNext: seep report --full %s    whole stacks, and what was not seen%s\n",
                        report.style.dim, paths, report.style.plain);
  if (gate.verdict.failing_sites() == 0) return;
  absl::StrAppendFormat(&report.output, "%sMeant to leak? seep gate --suggest %s    the rules that let it pass%s\n",
                        report.style.dim, paths, report.style.plain);
}

}  // namespace

void write_gate_text(const GateReport& gate, const ReportOptions& options, std::string& output) {
  TextReport report{.profile = gate.profile, .options = options, .style = Style(options.color), .output = output};
  write_headline(gate, report);
  write_rules(gate, report);
  write_budgets(gate, report);
  write_sites(gate, report);
  if (gate.profile.sampled && gate.verdict.outcome != Outcome::kNotJudged) {
    absl::StrAppendFormat(&output, "Sampled: judged at %.6g %% confidence for all that is compared together.\n",
                          100 * gate.policy.confidence);
  }
  write_next(gate, report);
}

}  // namespace seep
