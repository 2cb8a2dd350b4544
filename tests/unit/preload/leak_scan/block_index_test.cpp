// SPDX-License-Identifier: Apache-2.0
#include "preload/leak_scan/block_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace seep::leak_scan {
namespace {

struct BlockIndexTest : testing::Test {
  PrivateMemory memory;
  BlockIndex index{memory};

  void build(const std::vector<std::pair<uint64_t, uint64_t>>& blocks) {
    ASSERT_TRUE(index.reserve(blocks.size()));
    for (const auto& [start, size] : blocks) ASSERT_TRUE(index.add(start, size, 1));
    ASSERT_EQ(index.build({}), Outcome::kDone);
  }
};

TEST(BlockTest, KeepsWhatItIsGiven) {
  const Block block(0x7FFF'FFFF'FFF8, (uint64_t{1} << 45) + 3, 0xFFFF'FFF1);
  EXPECT_EQ(block.start(), 0x7FFF'FFFF'FFF8u);
  EXPECT_EQ(block.size_bytes(), (uint64_t{1} << 45) + 3);
  EXPECT_EQ(block.trace(), 0xFFFF'FFF1u);
}

TEST(SortTest, OrdersAsStdSortDoes) {
  std::mt19937_64 random(1);
  for (const unsigned bits : {0, 1, 5, 12, 20, 32, 40, 47}) {
    for (const size_t count : {0, 1, 2, 24, 25, 1000, 100'000}) {
      std::vector<Block> blocks;
      std::vector<std::pair<uint64_t, uint32_t>> expected;
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t start = random() & ((uint64_t{1} << bits) - 1);
        blocks.emplace_back(start, 8, i);
        expected.emplace_back(start, i);
      }
      ASSERT_TRUE(sort_by_start(blocks.data(), blocks.size(), {}));
      std::vector<std::pair<uint64_t, uint32_t>> sorted;
      for (const Block& block : blocks) sorted.emplace_back(block.start(), block.trace());
      ASSERT_TRUE(std::is_sorted(blocks.begin(), blocks.end(),
                                 [](const Block& a, const Block& b) { return a.start() < b.start(); }))
          << bits << " bits, " << count;
      std::sort(sorted.begin(), sorted.end());
      std::sort(expected.begin(), expected.end());
      ASSERT_EQ(sorted, expected) << bits << " bits, " << count;
    }
  }
}

// The address is farther from the last by a factor, again and again: the case that makes a radix sort go deep.
TEST(SortTest, AddressesFartherAndFartherApart) {
  std::vector<Block> blocks;
  for (unsigned bit = 0; bit < 47; ++bit) {
    for (unsigned i = 0; i < 40; ++i) blocks.emplace_back((uint64_t{1} << bit) + i, 1, 1);
  }
  std::reverse(blocks.begin(), blocks.end());
  ASSERT_TRUE(sort_by_start(blocks.data(), blocks.size(), {}));
  for (size_t i = 1; i < blocks.size(); ++i) ASSERT_LE(blocks[i - 1].start(), blocks[i].start());
}

TEST(SortTest, GivesUpAtTheDeadline) {
  std::vector<Block> blocks(100'000, Block(5, 1, 1));
  EXPECT_FALSE(sort_by_start(blocks.data(), blocks.size(), Deadline{1}));
}

TEST_F(BlockIndexTest, WithoutBlocksNothingIsFound) {
  build({});
  EXPECT_EQ(index.find(0), BlockIndex::kNone);
  EXPECT_EQ(index.find(0x5555'5555'0000), BlockIndex::kNone);
}

TEST_F(BlockIndexTest, ABlockOfNoBytesHasItsAddress) {
  build({{0x1000, 0}, {0x1010, 8}});
  EXPECT_EQ(index.find(0x1000), 0u);
  EXPECT_EQ(index.find(0x1001), BlockIndex::kNone);
}

TEST_F(BlockIndexTest, RefusesWhatDoesNotFit) {
  ASSERT_TRUE(index.reserve(2));
  EXPECT_FALSE(index.add(uint64_t{1} << 48, 8, 1));
  EXPECT_FALSE(index.add(0x1000, uint64_t{1} << 48, 1));
  EXPECT_TRUE(index.add(0x1000, 8, 1));
  EXPECT_TRUE(index.add(0x2000, 8, 1));
  EXPECT_FALSE(index.add(0x3000, 8, 1));
}

TEST_F(BlockIndexTest, CountsBlocksThatOverlap) {
  build({{0x1000, 0x100}, {0x1080, 0x20}, {0x2000, 8}});
  EXPECT_EQ(index.overlapping(), 1u);
  EXPECT_EQ(index.find(0x1010), 0u);
  EXPECT_EQ(index.find(0x1090), 1u);
}

TEST_F(BlockIndexTest, AnEnormousBlockCostsLittle) {
  const uint64_t tebibyte = uint64_t{1} << 40, start = 0x7000'0000'0010;
  build({{start, tebibyte}, {0x5555'5555'0000, 32}});
  EXPECT_EQ(index.find(start), 1u);
  EXPECT_EQ(index.find(start + tebibyte / 3), 1u);
  EXPECT_EQ(index.find(start + tebibyte - 1), 1u);
  EXPECT_EQ(index.find(start + tebibyte), BlockIndex::kNone);
  EXPECT_EQ(index.find(start - 1), BlockIndex::kNone);
  EXPECT_EQ(index.find(0x5555'5555'001F), 0u);
  EXPECT_EQ(index.find(0x5555'5555'0020), BlockIndex::kNone);
  EXPECT_EQ(index.find(0x6000'0000'0000), BlockIndex::kNone);
  EXPECT_LT(memory.used_bytes(), 8u << 20);
}

TEST_F(BlockIndexTest, SmallBlocksCostAtMost18BytesEach) {
  std::vector<std::pair<uint64_t, uint64_t>> blocks;
  for (uint64_t i = 0; i < 1'000'000; ++i) blocks.emplace_back(0x5555'0000'0000 + i * 64, 48);
  build(blocks);
  EXPECT_LT(memory.used_bytes(), 18u * blocks.size());
}

TEST_F(BlockIndexTest, NoMemoryIsSaid) {
  PrivateMemory little(2 * sizeof(Block) + 100);
  BlockIndex in_little(little);
  ASSERT_TRUE(in_little.reserve(2));
  ASSERT_TRUE(in_little.add(0x1000, 8, 1));
  EXPECT_EQ(in_little.build({}), Outcome::kNoMemory);
  BlockIndex too_many(little);
  EXPECT_FALSE(too_many.reserve(1000));
}

// Against a map: blocks of all sizes, dense and sparse, in areas that are far apart, some without a gap between them.
TEST(BlockIndexRandom, FindsWhatAMapFinds) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    std::map<uint64_t, uint64_t> truth;
    const uint64_t areas[] = {0x10'0000, 0x5555'5600'0000, 0x7F11'7FFF'F000, 0x7F12'4000'0000 + (seed << 33)};
    for (const uint64_t area : areas) {
      uint64_t at = area;
      for (unsigned i = 0; i < 400; ++i) {
        const uint64_t size = random() % 4 == 0 ? random() % (uint64_t{1} << (random() % 23)) : random() % 100;
        truth[at] = size;
        at += std::max<uint64_t>(size, 1) + (random() % 2) * (random() % 64);
      }
    }
    PrivateMemory memory;
    BlockIndex index(memory);
    ASSERT_TRUE(index.reserve(truth.size()));
    for (const auto& [start, size] : truth) ASSERT_TRUE(index.add(start, size, 1));
    ASSERT_EQ(index.build({}), Outcome::kDone);
    ASSERT_EQ(index.overlapping(), 0u);
    const auto check = [&](uint64_t word) {
      auto after = truth.upper_bound(word);
      const bool inside =
          after != truth.begin() && word < std::prev(after)->first + std::max<uint64_t>(std::prev(after)->second, 1);
      const uint32_t found = index.find(word);
      ASSERT_EQ(found != BlockIndex::kNone, inside) << std::hex << word << ", seed " << seed;
      if (inside) {
        ASSERT_EQ(index.block(found).start(), std::prev(after)->first);
      }
    };
    for (const auto& [start, size] : truth) {
      for (const uint64_t word :
           {start - 1, start, start + size / 2, start + size - 1, start + size, start + size + 1}) {
        check(word);
      }
      check(start + random() % (uint64_t{1} << 21));
    }
    for (const uint64_t word : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}, uint64_t{1} << 47}) check(word);
  }
}

}  // namespace
}  // namespace seep::leak_scan
