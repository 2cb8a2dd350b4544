// SPDX-License-Identifier: Apache-2.0
#include "preload/unwind/expression.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace seep {
namespace {

class Expression : public testing::Test {
 protected:
  Expression() {
    registers.valid = 0;
    registers.set(kDwarfStackPointer, reinterpret_cast<uint64_t>(words));
    registers.set(kDwarfReturnAddress, 0x401016);
    memory = {reinterpret_cast<uintptr_t>(words), reinterpret_cast<uintptr_t>(words + 4)};
  }
  bool run(std::initializer_list<int> bytes, const uint64_t* initial = nullptr) {
    std::vector<uint8_t> code(bytes.begin(), bytes.end());
    return evaluate(code.data(), static_cast<uint32_t>(code.size()), registers, memory, initial, result);
  }

  uint64_t words[4] = {11, 22, 33, 44};
  Registers registers{};
  StackMemory memory{};
  uint64_t result = 0;
};

// The one that ld writes for every .plt: rsp + 8 + (((rip & 15) >= 11) << 3).
TEST_F(Expression, ThePltsOwn) {
  const std::initializer_list<int> plt = {0x77, 8, 0x80, 0, 0x3F, 0x1A, 0x3B, 0x2A, 0x33, 0x24, 0x22};
  ASSERT_TRUE(run(plt));
  EXPECT_EQ(result, registers.value[kDwarfStackPointer] + 8);  // At 6: before the push.
  registers.set(kDwarfReturnAddress, 0x40101B);
  ASSERT_TRUE(run(plt));
  EXPECT_EQ(result, registers.value[kDwarfStackPointer] + 16);
}

TEST_F(Expression, ReadsTheStackAndNothingElse) {
  ASSERT_TRUE(run({0x77, 16, 0x06}));  // breg7 16; deref
  EXPECT_EQ(result, 33u);
  EXPECT_FALSE(run({0x77, 32, 0x06}));
  EXPECT_FALSE(run({0x77, 0x78, 0x06}));  // -8
  EXPECT_FALSE(run({0x77, 25, 0x06}));    // The last byte lies outside.
  EXPECT_FALSE(run({0x30, 0x06}));        // Address 0.
}

TEST_F(Expression, StartsWithTheCfaWhereItIsGiven) {
  const uint64_t cfa = 1000;
  ASSERT_TRUE(run({0x23, 24}, &cfa));
  EXPECT_EQ(result, 1024u);
}

TEST_F(Expression, ArithmeticAgreesWithTheProcessor) {
  const uint64_t minus_seven = static_cast<uint64_t>(-7);
  ASSERT_TRUE(run({0x09, 0xF9, 0x32, 0x1B}));  // -7 / 2
  EXPECT_EQ(result, static_cast<uint64_t>(-3));
  ASSERT_TRUE(run({0x09, 0xF9, 0x31, 0x26}));  // -7 >> 1, arithmetic
  EXPECT_EQ(result, static_cast<uint64_t>(-4));
  ASSERT_TRUE(run({0x09, 0xF9, 0x19}));
  EXPECT_EQ(result, 7u);
  ASSERT_TRUE(run({0x37, 0x1F}));
  EXPECT_EQ(result, minus_seven);
  ASSERT_TRUE(run({0x31, 0x32, 0x33, 0x17}));  // rot: 3 goes below
  EXPECT_EQ(result, 2u);
}

TEST_F(Expression, WhatIsWrongFails) {
  EXPECT_FALSE(run({}));
  EXPECT_FALSE(run({0x22}));              // plus on nothing
  EXPECT_FALSE(run({0x31, 0x30, 0x1B}));  // 1 / 0
  EXPECT_FALSE(run({0x70, 0}));           // A register that is not known.
  EXPECT_FALSE(run({0x0C, 1, 2}));        // Cut.
  EXPECT_FALSE(run({0xFF}));
  EXPECT_FALSE(run({0x30, 0x2F, 0xFD, 0xFF}));  // Jumps back for ever.
  EXPECT_FALSE(run({0x30, 0x2F, 0x00, 0x70}));  // Jumps out.
}

}  // namespace
}  // namespace seep
