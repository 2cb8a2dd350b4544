// SPDX-License-Identifier: Apache-2.0
// A summary in GitHub's Markdown: for a job's summary page, or a comment.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/findings.h"
#include "formats/format.h"
#include "formats/gate_report.h"
#include "formats/human.h"
#include "formats/source_place.h"

namespace seep {
namespace {

constexpr size_t kMostFindings = 50;

// No letter of it means anything to Markdown or HTML.
std::string plain(const std::string& text) {
  constexpr std::string_view kSigns = "\\`*_{}[]()#+-.!|~";
  std::string escaped;
  for (const char c : text) {
    if (c == '<') escaped += "&lt;";
    else if (c == '>') escaped += "&gt;";
    else if (c == '&') escaped += "&amp;";
    else if (c == '\n') escaped += ' ';
    else {
      if (kSigns.find(c) != kSigns.npos) escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

// Between fences that are longer than any row of backticks in it.
std::string fenced(const std::string& text) {
  size_t longest = 2, row = 0;
  for (const char c : text) {
    row = c == '`' ? row + 1 : 0;
    longest = std::max(longest, row);
  }
  const std::string fence(longest + 1, '`');
  return fence + "text\n" + text + fence + "\n";
}

std::string where(const Finding& finding, const std::string& source_root) {
  if (finding.stack == nullptr) return finding.origin.line == 0 ? "" : valid_utf8(finding.origin.text());
  const SourcePlace place = place_of(*finding.stack, source_root);
  return place.path + ":" + std::to_string(place.line);
}

void write_findings(const Findings& findings, const std::string& source_root, std::string& output) {
  if (findings.findings.empty()) return;
  output += "\n| | what | where |\n| --- | --- | --- |\n";
  const size_t shown = std::min(findings.findings.size(), kMostFindings);
  for (size_t index = 0; index < shown; ++index) {
    const Finding& finding = findings.findings[index];
    absl::StrAppendFormat(&output, "| %s | %s | %s |\n", plain(std::string(finding.rule->title)),
                          plain(finding.message), plain(where(finding, source_root)));
  }
  if (shown < findings.findings.size()) {
    absl::StrAppendFormat(&output, "\n%s more are not shown.\n",
                          human_count(static_cast<uint64_t>(findings.findings.size() - shown)));
  }
}

void write_budgets(const std::vector<BudgetRow>& budgets, std::string& output) {
  if (budgets.empty()) return;
  output +=
      "\n| allocations of | bytes | target | change | blocks | target | change | |\n"
      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n";
  for (const BudgetRow& row : budgets) {
    absl::StrAppendFormat(&output, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", plain(valid_utf8(row.function)),
                          plain(row.now), plain(row.target), plain(row.change), plain(row.blocks_now),
                          plain(row.blocks_target), plain(row.blocks_change), row.exceeded ? "FAILED" : "ok");
  }
}

void write_markdown(const Findings& findings, const std::vector<BudgetRow>& budgets, const std::string& source_root,
                    std::string& output) {
  absl::StrAppendFormat(&output, "### %s %s\n", plain(findings.title), plain(findings.headline));
  if (!findings.subject.empty()) absl::StrAppendFormat(&output, "\n%s\n", plain(findings.subject));
  write_findings(findings, source_root, output);
  write_budgets(budgets, output);
  if (!findings.notes.empty()) output += "\n";
  for (const std::string& note : findings.notes) absl::StrAppendFormat(&output, "- %s\n", plain(note));
  absl::StrAppendFormat(&output, "\n<details><summary>The whole text</summary>\n\n%s\n</details>\n",
                        fenced(findings.text));
}

}  // namespace

void write_gate_markdown(const GateReport& gate, const ReportOptions& options, std::string& output) {
  write_markdown(findings_of(gate, options), budget_rows(gate), options.source_root, output);
}

void write_difference_markdown(const DifferenceReport& report, const ReportOptions& options, std::string& output) {
  write_markdown(findings_of(report, options), {}, options.source_root, output);
}

}  // namespace seep
