// SPDX-License-Identifier: Apache-2.0
#include "record/counters.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace seep {
namespace {

TEST(Counters, LifetimeClassesHaveTheBoundsOfTheSchema) {
  EXPECT_EQ(lifetime_class(0), 0u);
  EXPECT_EQ(lifetime_class(9'999'999), 0u);
  EXPECT_EQ(lifetime_class(10'000'000), 1u);
  EXPECT_EQ(lifetime_class(999'999'999), 2u);
  EXPECT_EQ(lifetime_class(1'000'000'000), 3u);
  EXPECT_EQ(lifetime_class(9'999'999'999'999), 6u);
  EXPECT_EQ(lifetime_class(10'000'000'000'000), 7u);
  EXPECT_EQ(lifetime_class(~0ull), 7u);
}

TEST(Counters, BirthClassesHaveTheBoundsOfTheSchema) {
  EXPECT_EQ(birth_class(999'999'999), 0u);
  EXPECT_EQ(birth_class(1'000'000'000), 1u);
  EXPECT_EQ(birth_class(4'000'000'000), 2u);
  EXPECT_EQ(birth_class((uint64_t{1} << 20) * 1'000'000'000), 11u);  // 4^10 s
  EXPECT_EQ(birth_class((uint64_t{1} << 20) * 1'000'000'000 - 1), 10u);
  EXPECT_EQ(birth_class(~0ull), 11u);
}

TEST(Counters, AFreeInAnotherShardLeavesTheSumsRight) {
  auto shards = std::make_unique<CounterBlock[]>(2);
  count_allocation(shards[0], 100, 5'000'000'000, nullptr);
  count_allocation(shards[0], 50, 0, nullptr);
  count_free(shards[1], 100, 5'000'000'000, 7'000'000'000, false, nullptr);
  TraceSums sums;
  for (unsigned i = 0; i < 2; ++i) sums.add(shards[i]);
  EXPECT_EQ(sums.alloc_bytes - sums.free_bytes, 50u);
  EXPECT_EQ(sums.live_bytes_by_birth[2], 0u);
  EXPECT_EQ(sums.live_bytes_by_birth[0], 50u);
  EXPECT_EQ(sums.live_blocks_by_birth[0], 1u);
  EXPECT_EQ(sums.lifetime_blocks[0], 0u);
  EXPECT_EQ(sums.lifetime_blocks[3], 1u);  // 2 s
}

// A thread counts in its own shard for a day; another frees some of its blocks. What follows from the counts is what a
// plain book of each block says, at every step.
TEST(Counters, WhatFollowsFromTheCountsIsWhatABookOfEachBlockSays) {
  struct Block {
    uint64_t size, birth_ns;
  };
  std::mt19937_64 random(7);
  auto shards = std::make_unique<CounterBlock[]>(2);
  std::vector<Block> live;
  uint64_t lifetimes[kLifetimeClasses] = {}, now_ns = 0;
  for (int step = 0; step < 20'000; ++step) {
    now_ns += random() % 3 != 0 ? random() % 5'000'000 : random() % 20'000'000'000;
    if (live.empty() || random() % 5 < 3) {
      if (!is_of_present_class(shards[0], now_ns)) enter_birth_class(shards[0], now_ns);
      live.push_back({random() % 1000, now_ns});
      count_allocation(shards[0], live.back().size, now_ns, nullptr, AddAlone());
    } else {
      const size_t index = random() % live.size();
      const Block block = live[index];
      live.erase(live.begin() + static_cast<ptrdiff_t>(index));
      ++lifetimes[lifetime_class(now_ns - block.birth_ns)];
      count_free(shards[random() % 2], block.size, block.birth_ns, now_ns, false, nullptr, AddAlone());
    }
    if (step % 50 != 0) continue;
    uint64_t blocks[kBirthClasses] = {}, bytes[kBirthClasses] = {};
    for (const Block& block : live) {
      ++blocks[birth_class(block.birth_ns)];
      bytes[birth_class(block.birth_ns)] += block.size;
    }
    TraceSums sums;
    for (unsigned i = 0; i < 2; ++i) sums.add(shards[i]);
    for (unsigned i = 0; i < kBirthClasses; ++i) {
      ASSERT_EQ(sums.live_blocks_by_birth[i], blocks[i]) << "class " << i << ", step " << step;
      ASSERT_EQ(sums.live_bytes_by_birth[i], bytes[i]) << "class " << i << ", step " << step;
    }
    for (unsigned i = 0; i < kLifetimeClasses; ++i) ASSERT_EQ(sums.lifetime_blocks[i], lifetimes[i]) << i;
  }
}

TEST(Counters, WeightsAddUpAndCancel) {
  auto shard = std::make_unique<CounterBlock>();
  const Weight weight = sample_weight(1000, 4096);
  count_allocation(*shard, 1000, 0, &weight);
  count_allocation(*shard, 1000, 0, &weight);
  count_free(*shard, 1000, 0, 1, true, &weight);
  const auto value = [](const std::atomic<uint64_t>& bits) { return std::bit_cast<double>(bits.load()); };
  EXPECT_DOUBLE_EQ(value(shard->alloc.bytes), 2 * weight.bytes);
  EXPECT_DOUBLE_EQ(value(shard->freed.blocks_variance), weight.blocks_variance);
  EXPECT_DOUBLE_EQ(value(shard->temporary.blocks), weight.blocks);
}

}  // namespace
}  // namespace seep
