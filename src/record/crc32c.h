// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli), as RFC 3720, appendix B.4 has it: polynomial 0x1EDC6F41 reflected, initial value and final XOR
// all ones. Runs on both sides; no state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace seep {

namespace detail {
constexpr std::array<uint32_t, 256> make_crc32c_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}
inline constexpr std::array<uint32_t, 256> kCrc32cTable = make_crc32c_table();
}  // namespace detail

// Of `bytes` at `data`, going on from `crc` (0 at the start), so that pieces can be chained.
inline uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0) noexcept {
  const unsigned char* at = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (size_t i = 0; i < bytes; ++i) crc = (crc >> 8) ^ detail::kCrc32cTable[(crc ^ at[i]) & 0xFF];
  return ~crc;
}

}  // namespace seep
