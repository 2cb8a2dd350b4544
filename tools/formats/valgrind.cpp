// SPDX-License-Identifier: Apache-2.0
// A log in Valgrind's words, for what reads those: `ctest -T memcheck` counts its lines of lost blocks as defects.
#include <absl/strings/str_format.h>

#include <algorithm>

#include "formats/findings.h"
#include "formats/format.h"
#include "formats/gate_report.h"
#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

// As memcheck says it; what it has no words for is lost to it.
const char* valgrind_word(VerdictSet verdicts) {
  if (verdicts.has(Verdict::kDefinite)) return "definitely lost";
  if (verdicts.has(Verdict::kIndirect)) return "indirectly lost";
  if (verdicts.has(Verdict::kPossible)) return "possibly lost";
  return "still reachable";
}

class Log {
 public:
  Log(uint32_t pid, std::string& output) : prefix_("==" + std::to_string(pid) + "=="), output_(output) {}

  void line(const std::string& text) { output_ += prefix_ + (text.empty() ? "" : " ") + text + "\n"; }

 private:
  std::string prefix_;
  std::string& output_;
};

void write_stack(Log& log, const ShownStack& shown) {
  const Stack stack = shown.frames();
  const size_t end = stack.size() - shown.starting_frames;
  for (size_t index = shown.runtime_frames; index < end; ++index) {
    const Frame& frame = *stack[index];
    const std::string place = frame.file.empty()
                                  ? "in " + printable(frame.module)
                                  : printable(module_base_name(frame.file)) + ":" + std::to_string(frame.line);
    log.line(absl::StrFormat("   %s 0x0: %s (%s)", index == shown.runtime_frames ? "at" : "by",
                             printable(frame.function), place));
  }
}

}  // namespace

void write_gate_valgrind(const GateReport& gate, const ReportOptions&, std::string& output) {
  Log log(gate.profile.processes.empty() ? 0 : gate.profile.processes.front().pid, output);
  log.line(std::string("seep gate ") + word(gate.verdict.outcome) + ": " + headline(gate));
  const size_t failing = gate.verdict.failing_sites();
  for (size_t index = 0; index < failing; ++index) {
    const SiteVerdict& judged = gate.verdict.sites[index];
    log.line("");
    log.line(absl::StrFormat(
        "%s bytes in %s blocks are %s in loss record %d of %d", human_count(whole_count(judged.amount.bytes.value())),
        human_count(whole_count(judged.amount.blocks.value())), valgrind_word(judged.verdicts), index + 1, failing));
    write_stack(log, *judged.site);
  }
  log.line("");
  for (const RuleResult& result : rule_results(gate)) {
    log.line(absl::StrFormat("%s  %s: %s", word(result.result), result.rule, result.text));
  }
}

}  // namespace seep
