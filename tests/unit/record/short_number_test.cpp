// SPDX-License-Identifier: Apache-2.0
#include "record/short_number.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "record/wire_writer.h"

namespace seep {
namespace {

// What proto/seep.proto says that a number stands for.
double by_the_schema(uint32_t number, unsigned digits) {
  if (number == 0) return 0;
  const double steps = std::ldexp(1, static_cast<int>(digits));
  const double exponent = std::floor((number - 1) / steps) - 32;
  return std::ldexp(1 + std::fmod(number - 1, steps) / steps, static_cast<int>(exponent));
}

// Positive ones of all sizes that an estimate may have.
double random_value(std::mt19937_64& random) {
  return std::ldexp(1 + static_cast<double>(random() >> 12) * 0x1p-52, static_cast<int>(random() % 120) - 32);
}

TEST(ShortNumber, IsAsNearAsItsDigitsAllow) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const double value = random_value(random);
    EXPECT_NEAR(value_of_short_number(short_number(value, 14, Round::kNearest), 14), value, value * 0x1p-15);
    const double above = value_of_short_number(short_number(value, 7, Round::kUp), 7);
    EXPECT_GE(above, value);
    EXPECT_LE(above, value * (1 + 0x1p-7));
  }
}

TEST(ShortNumber, MeansWhatTheSchemaSays) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 100'000; ++i) {
    const unsigned digits = i % 2 == 0 ? 14 : 7;
    const auto number = static_cast<uint32_t>(random() % (uint64_t{120} << digits));
    EXPECT_EQ(value_of_short_number(number, digits), by_the_schema(number, digits));
    EXPECT_EQ(short_number(by_the_schema(number, digits), digits, Round::kNearest), number);
    EXPECT_EQ(short_number(by_the_schema(number, digits), digits, Round::kUp), number);
  }
}

// So a part stays at most the whole.
TEST(ShortNumber, KeepsTheOrder) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const double value = random_value(random);
    EXPECT_LE(short_number(value * 0.99999, 14, Round::kNearest), short_number(value, 14, Round::kNearest));
  }
}

TEST(ShortNumber, EndsAtZeroAndAtInfinity) {
  EXPECT_EQ(short_number(0, 14, Round::kNearest), 0u);
  EXPECT_EQ(short_number(0, 7, Round::kUp), 0u);
  EXPECT_EQ(short_number(0x1p-33, 14, Round::kNearest), 0u);
  EXPECT_EQ(short_number(0x1p-32, 14, Round::kNearest), 1u);
  EXPECT_EQ(short_number(0x1.FFFFFFFp-33, 7, Round::kUp), 1u);  // It carries.
  EXPECT_EQ(value_of_short_number(std::numeric_limits<uint32_t>::max(), 14), std::numeric_limits<double>::infinity());
  EXPECT_EQ(value_of_short_number(std::numeric_limits<uint32_t>::max(), 7), std::numeric_limits<double>::infinity());
}

TEST(ShortNumber, IsShort) {
  EXPECT_EQ(varint_bytes(short_number(0x1p95 * 0.99, 14, Round::kNearest)), 3u);
  EXPECT_EQ(varint_bytes(short_number(0x1p95 * 0.99, 7, Round::kUp)), 2u);
}

}  // namespace
}  // namespace seep
