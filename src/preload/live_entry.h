// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of a live block. Numbers only; runs inside the host.
#pragma once

#include <cstdint>

namespace seep {

struct LiveEntry {
  uint64_t size_bytes;
  uint64_t birth_ns;        // Since the recording began; kept to about a microsecond.
  uint32_t trace;           // Its Ref.
  uint32_t interval_shift;  // The sample interval was the recording's first, times 2 to this.
  bool ignored = false;     // The program does not want it to be called leaked.
};

}  // namespace seep
