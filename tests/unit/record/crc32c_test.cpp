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

TEST(Crc32c, PiecesGiveTheSameAsTheWhole) { EXPECT_EQ(crc32c("456789", 6, crc32c("123", 3)), crc32c("123456789", 9)); }

}  // namespace
}  // namespace seep
