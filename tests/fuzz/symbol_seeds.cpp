// SPDX-License-Identifier: Apache-2.0
#include "symbol_seeds.h"

#include "symbols/cached_symbols.h"

namespace seep::fuzz {

std::string symbols(unsigned addresses) {
  std::vector<KnownAddress> known;
  for (unsigned address = 0; address < addresses; ++address) {
    known.push_back({address * uint64_t{addresses}, {}});
    for (unsigned depth = 0; depth <= address % 3; ++depth) {
      Frame frame{.line = address * depth, .named = depth % 2 == 0, .inlined = depth > 0};
      if (frame.named) frame.function = "f" + std::to_string(address % 5) + "(int)";
      if (address % 4 != 0) frame.file = "/src/" + std::to_string(depth) + ".cpp";
      known.back().frames.push_back(frame);
    }
  }
  return encode_symbols(kSymbolsKey, known).substr(kSymbolsHeadBytes);
}

}  // namespace seep::fuzz
