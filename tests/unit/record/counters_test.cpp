// SPDX-License-Identifier: Apache-2.0
#include "record/counters.h"

#include <gtest/gtest.h>

#include <memory>

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
  const auto sum = [&](auto member) { return (shards[0].*member).load() + (shards[1].*member).load(); };
  EXPECT_EQ(sum(&CounterBlock::alloc_bytes) - sum(&CounterBlock::free_bytes), 50u);
  EXPECT_EQ(shards[0].live_bytes_by_birth[2] + shards[1].live_bytes_by_birth[2], 0u);
  EXPECT_EQ(shards[0].live_bytes_by_birth[0] + shards[1].live_bytes_by_birth[0], 50u);
  EXPECT_EQ(shards[1].lifetime_blocks[3], 1u);  // 2 s
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
