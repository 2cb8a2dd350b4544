// SPDX-License-Identifier: Apache-2.0
//
// Regions for the fuzzer without the 20 KiB that nobody reads there: the trie and the texts of the identity.
//
//     1 byte   how to fill the texts: 0 with short ones, else with this byte to their last
//     H bytes  RegionHeader up to the first text of its identity
//     rest     what lies behind the header, at the same offsets
//
// Runs in the fuzzer and in what makes its seeds.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "record/region.h"

namespace seep::fuzz {

inline constexpr size_t kCompactHeadBytes = offsetof(RegionHeader, identity) + offsetof(Identity, not_observed_detail);

inline std::string compact(const void* region, size_t bytes) {
  const auto* from = static_cast<const char*>(region);
  std::string result(1, '\0');
  result.append(from, kCompactHeadBytes);
  return result.append(from + sizeof(RegionHeader), bytes - sizeof(RegionHeader));
}

// As large as the region, in memory of its own, so that a sanitizer sees its ends. Empty: too few bytes.
inline std::vector<char> expand(const uint8_t* data, size_t size) {
  if (size < 1 + kCompactHeadBytes) return {};
  const size_t rest = size - 1 - kCompactHeadBytes;
  std::vector<char> region(sizeof(RegionHeader) + rest);
  memcpy(region.data(), data + 1, kCompactHeadBytes);
  const size_t texts_end = offsetof(RegionHeader, identity) + sizeof(Identity);
  memset(region.data() + kCompactHeadBytes, data[0], texts_end - kCompactHeadBytes);
  memcpy(region.data() + sizeof(RegionHeader), data + 1 + kCompactHeadBytes, rest);
  return region;
}

}  // namespace seep::fuzz
