// SPDX-License-Identifier: Apache-2.0
// JUnit's XML, as Jenkins, GitLab and GitHub's reporters read it: a suite, a test case for each thing that was looked
// at (the recording, each leak, each budget), a <failure> where it is wrong, an <error> where it could not be judged.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/findings.h"
#include "formats/format.h"

namespace seep {
namespace {

// XML 1.0 has no control characters but tab and line end, and neither U+FFFE nor U+FFFF.
std::string xml(const std::string& text) {
  std::string escaped;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool no_character = text.compare(at, 3, "\xEF\xBF\xBE") == 0 || text.compare(at, 3, "\xEF\xBF\xBF") == 0;
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\n': escaped += '\n'; break;
      case '\t': escaped += '\t'; break;
      default: escaped += static_cast<unsigned char>(c) < 0x20 || no_character ? '?' : c;
    }
    if (no_character) at += 2;
  }
  return escaped;
}

size_t count(const Findings& findings, Check::State state) {
  return static_cast<size_t>(std::count_if(findings.checks.begin(), findings.checks.end(),
                                           [state](const Check& check) { return check.state == state; }));
}

void write_case(const Findings& findings, const Check& check, const std::string& source_root, std::string& output) {
  absl::StrAppendFormat(&output, "    <testcase classname=\"%s\" name=\"%s\" time=\"0\"", xml(findings.title),
                        xml(check.name));
  if (check.state == Check::State::kPassed) {
    output += "/>\n";
    return;
  }
  const char* element = check.state == Check::State::kFailed ? "failure" : "error";
  const std::string stack = check.stack == nullptr ? "" : "\n" + stack_text(*check.stack, source_root);
  absl::StrAppendFormat(&output, ">\n      <%s message=\"%s\" type=\"%s\">%s%s</%s>\n    </testcase>\n", element,
                        xml(check.message), element, xml(check.message), xml(stack), element);
}

void write_junit(const Findings& findings, const std::string& source_root, std::string& output) {
  const std::string counts = absl::StrFormat("tests=\"%d\" failures=\"%d\" errors=\"%d\" time=\"%.3f\"",
                                             findings.checks.size(), count(findings, Check::State::kFailed),
                                             count(findings, Check::State::kNotJudged), findings.seconds);
  absl::StrAppendFormat(&output,
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"%s\" %s>\n"
                        "  <testsuite name=\"%s\" %s skipped=\"0\">\n",
                        xml(findings.title), counts,
                        xml(findings.subject.empty() ? findings.title : findings.title + ": " + findings.subject),
                        counts);
  for (const Check& check : findings.checks) write_case(findings, check, source_root, output);
  absl::StrAppendFormat(&output, "    <system-out>%s</system-out>\n  </testsuite>\n</testsuites>\n",
                        xml(findings.text));
}

}  // namespace

void write_gate_junit(const GateReport& gate, const ReportOptions& options, std::string& output) {
  write_junit(findings_of(gate, options), options.source_root, output);
}

void write_difference_junit(const DifferenceReport& report, const ReportOptions& options, std::string& output) {
  write_junit(findings_of(report, options), options.source_root, output);
}

}  // namespace seep
