// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a policy: read, and judged by. The files that it names are not opened. One thread.
#include "gate/verdict.h"
#include "gate_input.h"

using namespace seep;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Policy policy;
  try {
    parse_policy(std::string(reinterpret_cast<const char*>(data), size), "input", policy);
  } catch (const Error& error) {
    fuzz::check_error(error);
    return 0;
  }
  static testing::ProfileMaker maker = fuzz::leaking();
  const GateVerdict verdict = judge(maker.profile(), {}, policy, nullptr, std::chrono::year(2026) / 11 / 27);
  fuzz::expect(verdict.sites.size() <= maker.profile().sites.size());
  return 0;
}
