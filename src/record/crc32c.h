// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli), as RFC 3720, appendix B.4 has it: polynomial 0x1EDC6F41 reflected, initial value and final XOR
// all ones. Eight bytes at a step, by a table for each of them (Kounavis and Berry, "A Systematic Approach to Building
// High Performance, Software-based, CRC Generators", ISCC 2005). Runs on both sides; no state.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace seep {

namespace detail {
constexpr size_t kCrc32cStep = 8;
using Crc32cTables = std::array<std::array<uint32_t, 256>, kCrc32cStep>;

// [0] is of a byte; [n] of one that n bytes of zeros follow.
constexpr Crc32cTables make_crc32c_tables() {
  Crc32cTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78u : 0u);
    tables[0][i] = value;
  }
  for (size_t zeros = 1; zeros < kCrc32cStep; ++zeros) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[zeros - 1][i];
      tables[zeros][i] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}
inline constexpr Crc32cTables kCrc32cTables = make_crc32c_tables();
}  // namespace detail

// Of `bytes` at `data`, going on from `crc` (0 at the start), so that pieces can be chained.
inline uint32_t crc32c(const void* data, size_t bytes, uint32_t crc = 0) noexcept {
  static_assert(std::endian::native == std::endian::little);
  const auto& tables = detail::kCrc32cTables;
  const unsigned char* at = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (; bytes >= detail::kCrc32cStep; bytes -= detail::kCrc32cStep, at += detail::kCrc32cStep) {
    uint64_t word;
    __builtin_memcpy(&word, at, sizeof word);
    word ^= crc;
    crc = 0;
    for (size_t index = 0; index < detail::kCrc32cStep; ++index) {
      crc ^= tables[detail::kCrc32cStep - 1 - index][(word >> (8 * index)) & 0xFF];
    }
  }
  for (size_t i = 0; i < bytes; ++i) crc = (crc >> 8) ^ tables[0][(crc ^ at[i]) & 0xFF];
  return ~crc;
}

}  // namespace seep
