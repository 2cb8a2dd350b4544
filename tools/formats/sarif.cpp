// SPDX-License-Identifier: Apache-2.0
// SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), with what GitHub's code scanning reads of it:
// rules with texts, one location each relative to the repository, the stack as a code flow, and a fingerprint that
// stays the same when lines move. What is suppressed or known is left out, for GitHub would show it.
//
// The stack is a code flow from the outermost frame inwards, as a reader follows the calls.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/findings.h"
#include "formats/format.h"
#include "formats/human.h"
#include "formats/json_parts.h"
#include "formats/source_place.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

constexpr char kSchema[] = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
constexpr char kRoot[] = "%SRCROOT%";
// GitHub shows so many results of a run, and takes so many steps of a flow.
constexpr size_t kMostResults = 5000;
constexpr size_t kMostSteps = 1000;

ordered_json text_json(const std::string& text) { return {{"text", text}}; }

ordered_json artifact_json(const std::string& path) {
  if (path.starts_with('/')) return {{"uri", "file://" + uri_path(path)}};
  return {{"uri", uri_path(path)}, {"uriBaseId", kRoot}};
}

ordered_json location_json(const SourcePlace& place) {
  ordered_json location;
  location["physicalLocation"]["artifactLocation"] = artifact_json(place.path);
  location["physicalLocation"]["region"] = {
      {"startLine", place.line}, {"startColumn", 1}, {"endLine", place.line}, {"endColumn", 2}};
  if (!place.function.empty()) {
    location["logicalLocations"] =
        ordered_json::array({{{"fullyQualifiedName", printable(place.function)}, {"kind", "function"}}});
  }
  return location;
}

ordered_json step_json(const Frame& frame, const std::string& source_root) {
  SourcePlace place = place_of(frame, source_root)
                          .value_or(SourcePlace{.path = valid_utf8(frame.module.empty() ? "unknown" : frame.module)});
  place.function = valid_utf8(frame.function);
  ordered_json location = location_json(place);
  location["message"] = text_json(printable(valid_utf8(frame.function)));
  return {{"location", std::move(location)}};
}

ordered_json code_flow_json(const ShownStack& shown, const std::string& source_root) {
  const Stack stack = shown.frames();
  ordered_json steps = ordered_json::array();
  const size_t end = stack.size() - shown.starting_frames;
  const size_t first = std::min(end, shown.runtime_frames + kMostSteps);
  for (size_t index = first; index > shown.runtime_frames; --index) {
    steps.push_back(step_json(*stack[index - 1], source_root));
  }
  ordered_json flow;
  flow["threadFlows"] = ordered_json::array({{{"locations", std::move(steps)}}});
  return flow;
}

size_t rule_index(const FindingRule& rule) { return static_cast<size_t>(&rule - finding_rules().data()); }

ordered_json rule_json(const FindingRule& rule) {
  const std::string help(rule.help.empty() ? rule.description : rule.help);
  ordered_json object;
  object["id"] = rule.id;
  object["name"] = rule.title;
  object["shortDescription"] = text_json(std::string(rule.title));
  object["fullDescription"] = text_json(std::string(rule.description));
  object["help"] = text_json(help);
  object["help"]["markdown"] = help;
  object["defaultConfiguration"]["level"] = word(rule.level);
  object["properties"]["tags"] = {"memory", "leak"};
  return object;
}

// A finding about no code stands at the line of the rule that it is about, else nowhere that could be shown.
ordered_json result_json(const Finding& finding, const std::string& source_root) {
  ordered_json object;
  object["ruleId"] = finding.rule->id;
  object["ruleIndex"] = rule_index(*finding.rule);
  object["level"] = word(finding.rule->level);
  object["message"] = text_json(finding.message);
  if (finding.stack != nullptr) {
    object["locations"] = ordered_json::array({location_json(place_of(*finding.stack, source_root))});
    object["codeFlows"] = ordered_json::array({code_flow_json(*finding.stack, source_root)});
    const std::string fingerprint = fingerprint_text(finding.stack->fingerprint);
    object["partialFingerprints"]["primaryLocationLineHash"] = fingerprint + ":1";
    object["partialFingerprints"]["seepSite/v1"] = fingerprint;
  } else {
    Frame written;
    written.file = finding.origin.line == 0 ? "unknown" : finding.origin.file;
    written.line = finding.origin.line;
    object["locations"] = ordered_json::array({location_json(*place_of(written, source_root))});
  }
  return object;
}

// What could not be judged is no result: nothing is wrong with any code. It is said of the run.
ordered_json invocation_json(const Findings& findings) {
  ordered_json notifications = ordered_json::array();
  for (const Finding& finding : findings.findings) {
    if (finding.rule->id != "not-judged") continue;
    notifications.push_back({{"level", "error"}, {"message", text_json(finding.message)}});
  }
  for (const std::string& note : findings.notes) {
    notifications.push_back({{"level", "note"}, {"message", text_json(printable(note))}});
  }
  return {{"executionSuccessful", findings.judged}, {"toolExecutionNotifications", std::move(notifications)}};
}

void write_sarif(const Findings& findings, const std::string& source_root, std::string& output) {
  ordered_json rules = ordered_json::array();
  for (const FindingRule& rule : finding_rules()) rules.push_back(rule_json(rule));
  ordered_json results = ordered_json::array();
  for (const Finding& finding : findings.findings) {
    if (finding.rule->id == "not-judged" || results.size() == kMostResults) continue;
    results.push_back(result_json(finding, source_root));
  }
  ordered_json run;
  run["tool"]["driver"] = {{"name", "seep"}, {"version", SEEP_VERSION}, {"semanticVersion", SEEP_VERSION}};
  run["tool"]["driver"]["rules"] = std::move(rules);
  run["originalUriBaseIds"][kRoot]["uri"] = "file://" + uri_path(source_root) + (source_root.ends_with('/') ? "" : "/");
  run["columnKind"] = "utf16CodeUnits";
  run["invocations"] = ordered_json::array({invocation_json(findings)});
  run["results"] = std::move(results);
  ordered_json log;
  log["$schema"] = kSchema;
  log["version"] = "2.1.0";
  log["runs"] = ordered_json::array({std::move(run)});
  output += dumped(log, 2) + "\n";
}

}  // namespace

void write_gate_sarif(const GateReport& gate, const ReportOptions& options, std::string& output) {
  write_sarif(findings_of(gate, options), options.source_root, output);
}

void write_difference_sarif(const DifferenceReport& report, const ReportOptions& options, std::string& output) {
  write_sarif(findings_of(report, options), options.source_root, output);
}

}  // namespace seep
