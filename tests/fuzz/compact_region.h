// SPDX-License-Identifier: Apache-2.0
//
// Regions for the fuzzer without the 20 KiB that are texts, or the root of the trie, of which a few slots stay.
//
//     1 byte   how to fill the texts: 0 with short ones, else with this byte to their last
//     H bytes  RegionHeader up to the first text of its identity
//     S bytes  its ScanState up to the text
//     T bytes  slots of the trie's root: index and value of each
//     rest     what lies behind the header's last page, where entries begin, at the same offsets
//
// Runs in the fuzzer and in what makes its seeds.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "record/region.h"

namespace seep::fuzz {

inline constexpr size_t kTextsAt = offsetof(RegionHeader, identity) + offsetof(Identity, not_observed_detail);
inline constexpr size_t kTextsEnd = offsetof(RegionHeader, identity) + sizeof(Identity);
inline constexpr size_t kScanAt = offsetof(RegionHeader, scan);
inline constexpr size_t kScanTextAt = kScanAt + offsetof(ScanState, default_suppressions);
inline constexpr size_t kTrieAt = offsetof(RegionHeader, trie_root);
inline constexpr size_t kRestAt = (sizeof(RegionHeader) + 4095) / 4096 * 4096;

// Index 0xFFFFFFFF: none.
struct TrieSlot {
  uint32_t index, value;
};
inline constexpr size_t kTrieSlots = 16;

// Where the parts of a compact region begin.
inline constexpr size_t kCompactScanAt = 1 + kTextsAt;
inline constexpr size_t kCompactTrieAt = kCompactScanAt + (kScanTextAt - kScanAt);
inline constexpr size_t kCompactRestAt = kCompactTrieAt + kTrieSlots * sizeof(TrieSlot);

inline std::string compact(const void* region, size_t bytes) {
  const auto* from = static_cast<const char*>(region);
  std::string result(1, '\0');
  result.append(from, kTextsAt).append(from + kScanAt, kScanTextAt - kScanAt);
  TrieSlot slots[kTrieSlots];
  size_t used = 0;
  for (uint32_t index = 0; index < kTrieRootSlots && used < kTrieSlots; ++index) {
    const uint32_t value = static_cast<const RegionHeader*>(region)->trie_root[index].load();
    if (value != 0) slots[used++] = {index, value};
  }
  while (used < kTrieSlots) slots[used++] = {0xFFFFFFFF, 0};
  result.append(reinterpret_cast<const char*>(slots), sizeof slots);
  return result.append(from + kRestAt, bytes - kRestAt);
}

// As large as the region, in memory of its own, so that a sanitizer sees its ends. Empty: too few bytes.
inline std::vector<char> expand(const uint8_t* data, size_t size) {
  if (size < kCompactRestAt) return {};
  const size_t rest = size - kCompactRestAt;
  std::vector<char> region(kRestAt + rest);
  memcpy(region.data(), data + 1, kTextsAt);
  memset(region.data() + kTextsAt, data[0], kTextsEnd - kTextsAt);
  memcpy(region.data() + kScanAt, data + kCompactScanAt, kScanTextAt - kScanAt);
  memset(region.data() + kScanTextAt, data[0], sizeof ScanState::default_suppressions);
  for (size_t i = 0; i < kTrieSlots; ++i) {
    TrieSlot slot;
    memcpy(&slot, data + kCompactTrieAt + i * sizeof slot, sizeof slot);
    if (slot.index >= kTrieRootSlots) continue;
    memcpy(region.data() + kTrieAt + slot.index * sizeof slot.value, &slot.value, sizeof slot.value);
  }
  memcpy(region.data() + kRestAt, data + kCompactRestAt, rest);
  return region;
}

}  // namespace seep::fuzz
