// SPDX-License-Identifier: Apache-2.0
// The rules, and what a gate or a comparison found by them.
#include "formats/findings.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "formats/difference_report.h"
#include "formats/gate_report.h"
#include "formats/human.h"
#include "formats/source_place.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

constexpr std::array<FindingRule, 11> kRules = {{
    {"leak", "Memory leak", "Blocks that nothing points to when the program ends, and no rule lets pass.",
     "Free the blocks where their last pointer goes. The stack is that of their allocation; seep report shows where "
     "others of the same site are freed. What is meant to leak can be suppressed: seep gate --suggest prints the rule.",
     Level::kError},
    {"grown-leak", "Memory leak that has grown", "A known leak that loses more than its baseline says.",
     "Mend it, or take the new figures into the baseline with seep gate --accept.", Level::kError},
    {"site-budget", "Leak budget exceeded", "The sites of a budget leak more than it allows.",
     "Mend the leaks, or raise the budget in the policy.", Level::kError},
    {"allocation-budget", "Allocation budget exceeded",
     "A function, with all that it calls, allocates more than its budget.",
     "Reserve, reuse or pass by reference what is allocated there; or raise the budget in the policy.", Level::kError},
    {"suppression-limit", "Suppression exceeded", "A suppression covers more than the maximum that it names.",
     "The known leak has grown, or another one hides behind the rule: mend it, or raise the rule's maximum.",
     Level::kError},
    {"unused-rule", "Rule without effect", "A rule of the policy, or a suppression, matched nothing.",
     "Remove the rule, or mend its pattern.", Level::kWarning},
    {"not-judged", "Not judged", "The recording does not allow a verdict: what was not seen is never called clean.",
     "seep report says what is missing. Programs that need no verdict are named with --allow-unjudged.", Level::kError},
    {"new-site", "New", "There was nothing of this site before.", "", Level::kWarning},
    {"grown-site", "Grown", "There is more of this site than before.", "", Level::kWarning},
    {"shrunk-site", "Shrunk", "There is less of this site than before.", "", Level::kNote},
    {"gone-site", "Gone", "There is nothing of this site any more.", "", Level::kNote},
}};

ReportOptions uncolored(ReportOptions options) {
  options.color = false;
  return options;
}

std::string own_function(const ShownStack& stack) {
  const Stack frames = stack.frames();
  return shortened_function(valid_utf8(frames[std::min(stack.runtime_frames, frames.size() - 1)]->function), 120);
}

std::string leak_message(const SiteVerdict& judged, bool has_baseline) {
  std::string text =
      described(judged.amount) + " " + judged.verdicts.text() + ", allocated by " + own_function(*judged.site);
  const std::string standing = described_standing(judged, has_baseline);
  return standing.empty() ? text : text + "; " + standing;
}

void add_sites(const GateVerdict& verdict, Findings& findings) {
  for (const SiteVerdict& judged : verdict.sites) {
    if (!judged.fails()) continue;
    const bool grown = judged.standing == Standing::kGrown;
    const std::string message = leak_message(judged, verdict.has_baseline);
    findings.findings.push_back({&finding_rule(grown ? "grown-leak" : "leak"), message, judged.site, {}});
    findings.checks.push_back({(grown ? "grown leak: " : "leak: ") + own_function(*judged.site), Check::State::kFailed,
                               message, judged.site});
  }
}

// A budget or a suppression with a limit, if there is one.
void add_limit(const char* rule, const std::string& name, bool exceeded, const BlocksAndBytes& amount,
               const Limits& most, uint64_t calls, const Site* largest, const Origin& origin, Findings& findings) {
  std::string message = described(amount) + (calls == 1 ? "" : " in " + human_count(calls, "call")) + "; allowed" +
                        (calls == 1 ? ": " : " for each: ") + described_limits(most);
  std::string what = rule;
  std::replace(what.begin(), what.end(), '-', ' ');
  findings.checks.push_back(
      {what + ": " + name, exceeded ? Check::State::kFailed : Check::State::kPassed, message, largest});
  if (!exceeded) return;
  message = name + ": " + message + " (" + printable(valid_utf8(origin.text())) + ")";
  findings.findings.push_back({&finding_rule(rule), message, largest, origin});
}

void add_limits(const GateVerdict& verdict, Findings& findings) {
  const auto name_of = [](const std::string& text) { return printable(valid_utf8(text)); };
  for (const SiteBudgetUse& use : verdict.site_budgets) {
    add_limit("site-budget", name_of(use.budget->pattern->text()), use.exceeded, use.amount, use.budget->most, 1,
              use.largest, use.budget->origin, findings);
  }
  for (const AllocationBudgetUse& use : verdict.allocation_budgets) {
    add_limit("allocation-budget", name_of(use.budget->function->text()), use.exceeded, use.amount, use.budget->most,
              use.budget->calls, use.largest, use.budget->origin, findings);
  }
  for (const SuppressionUse& use : verdict.suppressions) {
    if (!use.rule->most.any()) continue;
    add_limit("suppression-limit", name_of(use.rule->text), use.exceeded, use.amount, use.rule->most, 1, use.largest,
              use.rule->origin, findings);
  }
}

void add_unused(const GateVerdict& verdict, Findings& findings) {
  for (const UnusedRule& rule : verdict.unused) {
    std::string message = printable(valid_utf8(rule.text)) + " matched nothing";
    if (!rule.trouble.empty()) message += ": " + printable(valid_utf8(rule.trouble));
    if (verdict.strict) {
      findings.findings.push_back({&finding_rule("unused-rule"), message, nullptr, rule.origin});
      findings.checks.push_back(
          {"rule " + printable(valid_utf8(rule.origin.text())), Check::State::kFailed, message, nullptr});
    } else {
      findings.notes.push_back(printable(valid_utf8(rule.origin.text())) + ": " + message);
    }
  }
}

void add_obstacles(const GateReport& gate, Findings& findings) {
  const std::vector<std::string> obstacles = described_obstacles(gate);
  for (const std::string& obstacle : obstacles) {
    findings.findings.push_back({&finding_rule("not-judged"), valid_utf8(obstacle), nullptr, {}});
    findings.checks.push_back({"recording", Check::State::kNotJudged, valid_utf8(obstacle), nullptr});
  }
  if (obstacles.empty()) findings.checks.push_back({"recording", Check::State::kPassed, "", nullptr});
}

}  // namespace

const char* word(Level level) {
  switch (level) {
    case Level::kError: return "error";
    case Level::kWarning: return "warning";
    case Level::kNote: break;
  }
  return "note";
}

std::span<const FindingRule> finding_rules() { return kRules; }

const FindingRule& finding_rule(std::string_view id) {
  const auto found =
      std::find_if(kRules.begin(), kRules.end(), [id](const FindingRule& rule) { return rule.id == id; });
  if (found == kRules.end()) std::abort();
  return *found;
}

Findings findings_of(const GateReport& gate, const ReportOptions& options) {
  Findings findings{.title = "seep gate",
                    .headline = std::string(word(gate.verdict.outcome)) + ": " + valid_utf8(headline(gate)),
                    .judged = gate.verdict.outcome != Outcome::kNotJudged,
                    .seconds = static_cast<double>(gate.profile.duration_ns) * 1e-9};
  if (!gate.profile.processes.empty()) {
    findings.subject = valid_utf8(who_ran(gate.profile) + ", " + how_it_ran(gate.profile));
  }
  add_obstacles(gate, findings);
  add_sites(gate.verdict, findings);
  const bool leaks = gate.verdict.failing_sites() > 0;
  if (!leaks && !gate.policy.fail.empty() && findings.judged) {
    findings.checks.push_back({"no leak", Check::State::kPassed, "", nullptr});
  }
  add_limits(gate.verdict, findings);
  add_unused(gate.verdict, findings);
  for (const RuleResult& result : rule_results(gate)) {
    if (result.result == Result::kNote && !result.rule.starts_with("rule")) {
      findings.notes.push_back(valid_utf8(result.rule + ": " + result.text));
    }
  }
  write_gate_text(gate, uncolored(options), findings.text);
  findings.text = valid_utf8(findings.text);
  return findings;
}

Findings findings_of(const DifferenceReport& report, const ReportOptions& options) {
  Findings findings{.title = "seep diff",
                    .headline = counts_text(report.difference),
                    .subject = totals_text(report.difference),
                    .judged = report.problems.empty(),
                    .seconds = static_cast<double>(report.after.duration_ns) * 1e-9};
  for (const std::string& problem : report.problems) {
    findings.findings.push_back({&finding_rule("not-judged"), printable(valid_utf8(problem)), nullptr, {}});
    findings.checks.push_back({"recording", Check::State::kNotJudged, printable(valid_utf8(problem)), nullptr});
  }
  for (const SiteDifference& site : report.difference.sites) {
    if (site.direction == Direction::kSame) continue;
    const std::string direction = word(site.direction);
    const bool more = site.direction == Direction::kNew || site.direction == Direction::kGrown;
    const std::string message = own_function(site.site()) + ": " + change_text(site);
    findings.findings.push_back({&finding_rule(direction + "-site"), message, &site.site(), {}});
    findings.checks.push_back({direction + ": " + own_function(site.site()),
                               more ? Check::State::kFailed : Check::State::kPassed, message, &site.site()});
  }
  if (findings.checks.empty()) findings.checks.push_back({"no difference", Check::State::kPassed, "", nullptr});
  write_difference_text(report, uncolored(options), findings.text);
  findings.text = valid_utf8(findings.text);
  return findings;
}

std::string stack_text(const ShownStack& shown, const std::string& source_root) {
  const Stack stack = shown.frames();
  std::string text;
  for (size_t index = shown.runtime_frames; index < stack.size() - shown.starting_frames; ++index) {
    const auto place = place_of(*stack[index], source_root);
    const std::string module = printable(module_base_name(stack[index]->module));
    text += "  " + printable(valid_utf8(stack[index]->function)) + "  " +
            (place ? printable(place->path) + ":" + std::to_string(place->line) : valid_utf8(module)) + "\n";
  }
  return text;
}

}  // namespace seep
