// SPDX-License-Identifier: Apache-2.0
#include "preload/live_filter.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace seep {
namespace {

class LiveFilterTest : public testing::Test {
 protected:
  static constexpr size_t kArrayBytes = LiveFilter::array_bytes(LiveFilter::kFirstBucketsLog2);
  LiveFilterTest() : array(static_cast<uint8_t*>(aligned_alloc(64, kArrayBytes))), filter(array), table(memory, 4) {
    memset(array, 0, kArrayBytes);
    filter.start();
  }
  ~LiveFilterTest() override { free(array); }

  void insert(uintptr_t address) {
    LiveEntry old;
    const PackedFilter counted = filter.count_in(address);
    ASSERT_NE(table.insert(address, {1, 0, 1, 0}, old), LiveTable::Insert::kNoRoom);
    filter.settle(address, counted);
    filter.grow_if_full(table, memory);
  }
  void remove(uintptr_t address) {
    LiveEntry entry;
    const PackedFilter current = filter.current();
    ASSERT_TRUE(table.remove(address, entry));
    filter.count_out(address, current);
  }
  bool maybe(uintptr_t address) const { return filter.maybe_recorded(reinterpret_cast<void*>(address)); }

  uint8_t* array;
  PrivateMemory memory;
  LiveFilter filter;
  LiveTable table;
};

TEST_F(LiveFilterTest, WhatWentInIsFoundAndWhatWentOutIsNot) {
  EXPECT_FALSE(maybe(0x1000));
  insert(0x1000);
  EXPECT_TRUE(maybe(0x1000));
  remove(0x1000);
  EXPECT_FALSE(maybe(0x1000));
}

TEST_F(LiveFilterTest, ManyInOneBucketStickAndAreNeverLost) {
  for (int i = 0; i < 300; ++i) (void)filter.count_in(0x2000);
  for (int i = 0; i < 300; ++i) filter.count_out(0x2000, filter.current());
  EXPECT_TRUE(maybe(0x2000));
}

TEST_F(LiveFilterTest, StickyAddressesSurviveGrowth) {
  ASSERT_TRUE(filter.stick(0x123450));
  for (uintptr_t i = 0; i < 20'000; ++i) insert(0x700000000000 + i * 64);
  EXPECT_GT(filter.buckets(), uint64_t{1} << 16);
  EXPECT_TRUE(maybe(0x123450));
}

TEST_F(LiveFilterTest, InExactModeEveryAddressMatches) {
  filter.match_everything();
  for (uintptr_t i = 0; i < 1000; ++i) ASSERT_TRUE(maybe(i * 0x123457));
}

// Under the stated load of one bucket in twenty, at most 5 % of random addresses may look recorded; binomial with
// n = 100,000: five standard deviations are 0.35 %, exceeded by chance with 3e-7 (the seed is fixed).
TEST_F(LiveFilterTest, FalsePositivesStayUnderFivePercentAsItGrows) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 100'000; ++i) insert(0x500000000000 + random() % (uint64_t{1} << 34) / 16 * 16);
  int positive = 0;
  for (int i = 0; i < 100'000; ++i) positive += maybe(0x600000000000 + random() % (uint64_t{1} << 34) / 16 * 16);
  EXPECT_LT(positive, 5'350);
}

// The one thing that must never happen: a live block that the filter does not know, whatever races with its growth.
TEST_F(LiveFilterTest, NoFalseNegativeWhileThreadsInsertRemoveAndGrow) {
  constexpr int kThreads = 4;
  std::atomic<int> missed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      std::vector<uintptr_t> mine;
      uintptr_t next_address = 0x10000000 + static_cast<uintptr_t>(t) * 0x100000000;
      for (int i = 0; i < 40'000; ++i) {
        if (!mine.empty() && random() % 4 == 0) {
          const size_t index = random() % mine.size();
          missed += !maybe(mine[index]);
          remove(mine[index]);
          mine[index] = mine.back();
          mine.pop_back();
        } else {
          insert(next_address += 16);
          missed += !maybe(next_address);
          mine.push_back(next_address);
        }
      }
      for (const uintptr_t address : mine) missed += !maybe(address);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(missed.load(), 0);
  EXPECT_GT(filter.buckets(), uint64_t{1} << 16);
}

}  // namespace
}  // namespace seep
