// SPDX-License-Identifier: Apache-2.0
//
// The same random numbers in each run: xorshift64 (Marsaglia, 2003). One thread.
#pragma once

#include <stdint.h>

static inline uint64_t random_number(void) {
  static uint64_t state = 1;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
