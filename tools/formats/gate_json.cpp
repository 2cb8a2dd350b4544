// SPDX-License-Identifier: Apache-2.0
// The gate's verdict for programs, schema "seep.gate/1". Keys are only ever added.
//
//   outcome                  passed, failed, not_judged
//   headline                 why, in a line
//   fail, confidence, strict the policy's; confidence_of_each: of each comparison that is made of samples
//   obstacles[]              why it is not judged, in words; allowed[]: what would be, and the policy lets pass
//   rules[]                  result (ok, note, failed, not_judged), rule, text: what the text format shows
//   leaks                    what fails: sites, bytes, blocks
//   sites[]                  every site that counts: standing (leak, grown, known, not_proved, tolerated, budgeted,
//                            suppressed), verdicts[], fingerprint, counted_bytes, counted_blocks, and where the
//                            baseline is looked at before_bytes, before_blocks, change_bytes, change_blocks; site: as
//                            in the report
//   suppressions[]           each rule: rule, origin, reason, sites, suppressed_bytes, suppressed_blocks, exceeded,
//                            expired
//   site_budgets[]           pattern, origin, sites, bytes, blocks, max_bytes, max_blocks, exceeded
//   allocation_budgets[]     function, origin, calls, sites, bytes, blocks (of all calls), max_bytes, max_blocks (of a
//                            call), before_bytes, before_blocks, before_calls, exceeded
//   unused_rules[]           rule, origin, trouble
//   gone[]                   fingerprints of the baseline's leaks that are none any more
//   processes[], coverage    as in the report
#include <nlohmann/json.hpp>

#include "formats/format.h"
#include "formats/gate_report.h"
#include "formats/json_parts.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

const char* json_word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed: return "passed";
    case Outcome::kFailed: return "failed";
    case Outcome::kNotJudged: break;
  }
  return "not_judged";
}

const char* json_word(Result result) {
  switch (result) {
    case Result::kOk: return "ok";
    case Result::kNote: return "note";
    case Result::kFailed: return "failed";
    case Result::kNotJudged: break;
  }
  return "not_judged";
}

const char* json_word(Standing standing) {
  switch (standing) {
    case Standing::kLeak: return "leak";
    case Standing::kGrown: return "grown";
    case Standing::kKnown: return "known";
    case Standing::kNotProved: return "not_proved";
    case Standing::kTolerated: return "tolerated";
    case Standing::kBudgeted: return "budgeted";
    case Standing::kSuppressed: break;
  }
  return "suppressed";
}

ordered_json words_of(VerdictSet verdicts) {
  ordered_json words = ordered_json::array();
  for (const Verdict verdict : kVerdictsFromWorst) {
    if (verdicts.has(verdict)) words.push_back(word(verdict));
  }
  return words;
}

ordered_json or_null(const std::optional<uint64_t>& number) { return number ? ordered_json(*number) : ordered_json(); }

void put(ordered_json& object, const Limits& limits) {
  object["max_bytes"] = or_null(limits.bytes);
  object["max_blocks"] = or_null(limits.blocks);
}

void put_amount(ordered_json& object, const BlocksAndBytes& amount) {
  put(object, "bytes", amount.bytes);
  put(object, "blocks", amount.blocks);
}

ordered_json judged_json(const SiteVerdict& judged) {
  ordered_json object;
  object["standing"] = json_word(judged.standing);
  object["verdicts"] = words_of(judged.verdicts);
  object["fingerprint"] = fingerprint_text(judged.site->fingerprint);
  put(object, "counted", judged.amount);
  if (judged.known != nullptr || judged.standing == Standing::kNotProved) {
    put(object, "before", judged.before);
    put(object, "change_bytes", judged.bytes);
    put(object, "change_blocks", judged.blocks);
  }
  object["site"] = site_json(*judged.site, false);
  return object;
}

ordered_json suppressions_json(const GateVerdict& verdict) {
  ordered_json uses = ordered_json::array();
  for (const SuppressionUse& use : verdict.suppressions) {
    ordered_json object;
    object["rule"] = use.rule->text;
    object["origin"] = use.rule->origin.text();
    object["reason"] = use.rule->reason.empty() ? ordered_json() : ordered_json(use.rule->reason);
    object["sites"] = use.sites;
    put(object, "suppressed", use.amount);
    put(object, use.rule->most);
    object["exceeded"] = use.exceeded;
    object["expired"] = use.expired;
    uses.push_back(std::move(object));
  }
  return uses;
}

ordered_json site_budgets_json(const GateVerdict& verdict) {
  ordered_json uses = ordered_json::array();
  for (const SiteBudgetUse& use : verdict.site_budgets) {
    ordered_json object;
    object["pattern"] = use.budget->pattern->text();
    object["origin"] = use.budget->origin.text();
    object["sites"] = use.sites;
    put_amount(object, use.amount);
    put(object, use.budget->most);
    object["exceeded"] = use.exceeded;
    uses.push_back(std::move(object));
  }
  return uses;
}

ordered_json allocation_budgets_json(const GateVerdict& verdict) {
  ordered_json uses = ordered_json::array();
  for (const AllocationBudgetUse& use : verdict.allocation_budgets) {
    ordered_json object;
    object["function"] = use.budget->function->text();
    object["origin"] = use.budget->origin.text();
    object["calls"] = use.budget->calls;
    object["sites"] = use.sites;
    put_amount(object, use.amount);
    put(object, use.budget->most);
    put(object, "before", use.before == nullptr ? BlocksAndBytes() : use.before->amount, use.before != nullptr);
    object["before_calls"] = use.before == nullptr ? ordered_json() : ordered_json(use.before->calls);
    object["exceeded"] = use.exceeded;
    uses.push_back(std::move(object));
  }
  return uses;
}

ordered_json rules_json(const GateReport& gate) {
  ordered_json rules = ordered_json::array();
  for (const RuleResult& result : rule_results(gate)) {
    rules.push_back({{"result", json_word(result.result)}, {"rule", result.rule}, {"text", result.text}});
  }
  return rules;
}

ordered_json unused_json(const GateVerdict& verdict) {
  ordered_json unused = ordered_json::array();
  for (const UnusedRule& rule : verdict.unused) {
    unused.push_back({{"rule", rule.text}, {"origin", rule.origin.text()}, {"trouble", rule.trouble}});
  }
  return unused;
}

void put_policy(ordered_json& object, const GateReport& gate) {
  object["fail"] = words_of(gate.policy.fail);
  object["strict"] = gate.policy.strict;
  object["confidence"] = gate.policy.confidence;
  object["confidence_of_each"] = gate.verdict.confidence;
  object["min_coverage"] = gate.verdict.obstacles.min_coverage;
  put(object, gate.policy.leaks);
}

}  // namespace

void write_gate_json(const GateReport& gate, const ReportOptions&, std::string& output) {
  const GateVerdict& verdict = gate.verdict;
  ordered_json object;
  object["schema"] = "seep.gate/1";
  object["outcome"] = json_word(verdict.outcome);
  object["headline"] = headline(gate);
  put_policy(object, gate);
  object["obstacles"] = described_obstacles(gate);
  object["allowed"] = described_allowances(gate);
  object["rules"] = rules_json(gate);
  object["leaks"]["sites"] = verdict.failing_sites();
  put_amount(object["leaks"], verdict.failing);
  object["suppressions"] = suppressions_json(verdict);
  object["site_budgets"] = site_budgets_json(verdict);
  object["allocation_budgets"] = allocation_budgets_json(verdict);
  object["unused_rules"] = unused_json(verdict);
  object["gone"] = ordered_json::array();
  for (const KnownLeak* leak : verdict.gone) object["gone"].push_back(fingerprint_text(leak->fingerprint));
  object["coverage"] = coverage_json(gate.profile.coverage);
  object["processes"] = ordered_json::array();
  for (const ProcessSummary& process : gate.profile.processes) object["processes"].push_back(process_json(process));
  object["sites"] = ordered_json::array();
  for (const SiteVerdict& judged : verdict.sites) object["sites"].push_back(judged_json(judged));
  output += dumped(object, 2) + "\n";
}

}  // namespace seep
