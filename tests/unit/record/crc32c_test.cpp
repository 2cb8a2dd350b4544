// SPDX-License-Identifier: Apache-2.0
#include "record/crc32c.h"

#include <gtest/gtest.h>

#include <cstring>

namespace seep {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, MatchesTheVectorsOfTheRfc) {
  unsigned char bytes[32];
  memset(bytes, 0, sizeof bytes);
  EXPECT_EQ(crc32c(bytes, sizeof bytes), 0x8A9136AAu);
  memset(bytes, 0xFF, sizeof bytes);
  EXPECT_EQ(crc32c(bytes, sizeof bytes), 0x62A8AB43u);
  for (unsigned i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<unsigned char>(i);
  EXPECT_EQ(crc32c(bytes, sizeof bytes), 0x46DD794Eu);
  EXPECT_EQ(crc32c("123456789", 9), 0xE3069283u);
}

uint32_t bit_by_bit(const unsigned char* bytes, size_t count) {
  uint32_t crc = ~0u;
  for (size_t index = 0; index < count; ++index) {
    crc ^= bytes[index];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, OfAnyLengthAtAnyAddressIsThatOfItsBits) {
  unsigned char bytes[80];
  for (unsigned i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<unsigned char>(i * i * 31 + 7);
  for (size_t start = 0; start < 9; ++start) {
    for (size_t count = 0; start + count <= sizeof bytes; ++count) {
      ASSERT_EQ(crc32c(bytes + start, count), bit_by_bit(bytes + start, count)) << start << " " << count;
      ASSERT_EQ(crc32c(bytes + start + count / 3, count - count / 3, crc32c(bytes + start, count / 3)),
                bit_by_bit(bytes + start, count));
    }
  }
}

TEST(Crc32c, PiecesGiveTheSameAsTheWhole) { EXPECT_EQ(crc32c("456789", 6, crc32c("123", 3)), crc32c("123456789", 9)); }

}  // namespace
}  // namespace seep
