// SPDX-License-Identifier: Apache-2.0
// GitHub's workflow commands: annotations at the lines of a pull request. GitHub shows ten of each kind a step, so the
// last one says what there is in all where there are more.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/findings.h"
#include "formats/format.h"
#include "formats/human.h"
#include "formats/source_place.h"

namespace seep {
namespace {

constexpr size_t kMostAnnotations = 10;

// As @actions/core escapes: a message, and the value of a property.
std::string escaped(const std::string& text, bool is_property) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '%': result += "%25"; break;
      case '\r': result += "%0D"; break;
      case '\n': result += "%0A"; break;
      case ':': result += is_property ? "%3A" : ":"; break;
      case ',': result += is_property ? "%2C" : ","; break;
      default: result += c;
    }
  }
  return result;
}

const char* command(Level level) { return level == Level::kNote ? "notice" : word(level); }

void write_annotation(const Finding& finding, const std::string& source_root, std::string& output) {
  std::string place, message = finding.message;
  if (finding.stack != nullptr) {
    const SourcePlace where = place_of(*finding.stack, source_root);
    if (where.in_root) place = absl::StrFormat("file=%s,line=%d,", escaped(where.path, true), where.line);
    message += "\n" + stack_text(*finding.stack, source_root);
    message.pop_back();
  } else if (finding.origin.line != 0) {
    place = absl::StrFormat("file=%s,line=%d,", escaped(finding.origin.file, true), finding.origin.line);
  }
  absl::StrAppendFormat(&output, "::%s %stitle=%s::%s\n", command(finding.rule->level), place,
                        escaped(std::string(finding.rule->title), true), escaped(message, false));
}

void write_annotations(const Findings& findings, const std::string& source_root, std::string& output) {
  const size_t all = findings.findings.size();
  const size_t shown = all > kMostAnnotations ? kMostAnnotations - 1 : all;
  for (size_t index = 0; index < shown; ++index) write_annotation(findings.findings[index], source_root, output);
  if (shown < all) {
    absl::StrAppendFormat(
        &output, "::error title=%s::%s\n", escaped(findings.title, true),
        escaped(findings.headline + " (and " + human_count(all - shown, "more finding") + ")", false));
  }
}

}  // namespace

void write_gate_annotations(const GateReport& gate, const ReportOptions& options, std::string& output) {
  write_annotations(findings_of(gate, options), options.source_root, output);
}

void write_difference_annotations(const DifferenceReport& report, const ReportOptions& options, std::string& output) {
  write_annotations(findings_of(report, options), options.source_root, output);
}

}  // namespace seep
