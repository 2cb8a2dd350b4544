// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a suppression file, of whichever of the three formats: read, and matched with some stacks. One thread.
#include "gate/suppression.h"
#include "gate_input.h"

using namespace seep;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static testing::ProfileMaker maker = fuzz::leaking();
  try {
    for (const Suppression& each :
         parse_suppressions(std::string(reinterpret_cast<const char*>(data), size), "input")) {
      fuzz::expect(each.origin.line > 0);
      for (const Site& site : maker.profile().sites) fuzz::expect(each.matches(site) == each.matches(site));
    }
  } catch (const Error& error) {
    fuzz::check_error(error);
  }
  return 0;
}
