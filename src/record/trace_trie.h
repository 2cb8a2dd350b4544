// SPDX-License-Identifier: Apache-2.0
//
// How the trie of traces is laid out (trace_table.h has the picture), for who reads it without a TraceTable: one that
// must not trust it. Numbers only; any thread, in the host and in the analyzer.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/region.h"

namespace seep {

// A slot holds a Ref shifted left by one; the lowest bit set means that it leads to a node, else to a trace.
inline constexpr uint32_t kTrieNodeTag = 1;
inline constexpr unsigned kTrieNodeBits = 4;
inline constexpr unsigned kTrieRootBits = 12;
inline constexpr unsigned kTrieDepths = (64 - kTrieRootBits) / kTrieNodeBits;  // Nodes on the longest way to a trace.
static_assert(kTrieRootSlots == size_t{1} << kTrieRootBits);

struct TrieNode {
  std::atomic<uint32_t> slot[1 << kTrieNodeBits];
};

}  // namespace seep
