// SPDX-License-Identifier: Apache-2.0
// Where the bytes of a compressed file cannot be decompressed any further, and why. Plain data.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

struct CompressionDamage {
  uint64_t offset = 0;  // In the file, of the block that is not good.
  std::string what;
};

}  // namespace seep
