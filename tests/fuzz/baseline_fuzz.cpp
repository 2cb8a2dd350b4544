// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a baseline: read, judged by, lowered, and written. What is written is read again as the same. One
// thread.
#include "gate/verdict.h"
#include "gate_input.h"

using namespace seep;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Baseline baseline;
  try {
    baseline = parse_baseline(std::string(reinterpret_cast<const char*>(data), size), "input");
  } catch (const Error& error) {
    fuzz::check_error(error);
    return 0;
  }
  const std::string text = baseline_text(baseline);
  fuzz::expect(baseline_text(parse_baseline(text, "input")) == text);
  static testing::ProfileMaker maker = fuzz::leaking();
  const Policy policy{.fail = baseline.fail};
  const GateVerdict verdict = judge(maker.profile(), {}, policy, &baseline, std::chrono::year(2026) / 11 / 27);
  const Baseline updated = updated_baseline(verdict, policy, &baseline, false, baseline.sampled);
  fuzz::expect(updated.leaks.size() <= baseline.leaks.size());
  parse_baseline(baseline_text(updated), "input");
  return 0;
}
