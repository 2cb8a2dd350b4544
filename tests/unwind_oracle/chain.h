// SPDX-License-Identifier: Apache-2.0
//
// What a stack walk found, whoever walked, and how two of them differ. Needs nothing and allocates nothing, so that a
// preload may use it in a malloc hook or in a signal handler.
#pragma once

#include <cstdint>

#include "record/trace_table.h"

namespace seep {

struct Chain {
  const uintptr_t* pcs;  // Innermost first; each is an address inside the instruction that was executing.
  uint32_t count;
  Cut cut;
};

inline constexpr uint32_t kNoDifference = UINT32_MAX;

// The first frame that is not the same in both: `count` of the shorter one where that just ends earlier.
[[nodiscard]] inline uint32_t first_difference(const Chain& a, const Chain& b) {
  const uint32_t shorter = a.count < b.count ? a.count : b.count;
  for (uint32_t i = 0; i < shorter; ++i) {
    if (a.pcs[i] != b.pcs[i]) return i;
  }
  return a.count == b.count ? kNoDifference : shorter;
}

// The same frames, and both at the end of the stack or both cut. Two walkers need not have the same words for why.
[[nodiscard]] inline bool are_same(const Chain& a, const Chain& b) {
  return first_difference(a, b) == kNoDifference && (a.cut == Cut::kWhole) == (b.cut == Cut::kWhole);
}

// Never 0. FNV-1a by words, and a final mix, so that any bits of it serve as a hash.
[[nodiscard]] inline uint64_t hash_of(const Chain& chain) {
  uint64_t hash = 0xCBF29CE484222325 + static_cast<uint64_t>(chain.cut);
  for (uint32_t i = 0; i < chain.count; ++i) hash = (hash ^ chain.pcs[i]) * 0x100000001B3;
  hash ^= hash >> 32;
  hash *= 0x9E3779B97F4A7C15;
  hash ^= hash >> 29;
  return hash == 0 ? 1 : hash;
}

}  // namespace seep
