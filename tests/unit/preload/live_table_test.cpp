// SPDX-License-Identifier: Apache-2.0
#include "preload/live_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "record/aside.h"

namespace seep {
namespace {

LiveEntry entry_of(uint64_t size, uint32_t trace = 1, uint64_t birth_ns = 0, uint32_t shift = 0) {
  return {size, birth_ns, trace, shift};
}

class LiveTableTest : public testing::Test {
 protected:
  PrivateMemory memory;
  LiveTable table{memory, 2};
  LiveEntry entry{};
};

TEST_F(LiveTableTest, KeepsEveryFieldOfAnEntry) {
  const LiveEntry given = entry_of((uint64_t{1} << 40) + 3, 0xFFFFFFF1, uint64_t{86400} * 200 * 1'000'000'000, 15);
  ASSERT_EQ(table.insert(0x7FFF12345670, given, entry), LiveTable::Insert::kDone);
  ASSERT_TRUE(table.remove(0x7FFF12345670, entry));
  EXPECT_EQ(entry.size_bytes, given.size_bytes);
  EXPECT_EQ(entry.trace, given.trace);
  EXPECT_EQ(entry.interval_shift, given.interval_shift);
  EXPECT_LE(given.birth_ns - entry.birth_ns, 1023u);
}

TEST_F(LiveTableTest, WhatIsNotThereIsNotFound) {
  EXPECT_FALSE(table.remove(0x1000, entry));
  ASSERT_EQ(table.insert(0x1000, entry_of(1), entry), LiveTable::Insert::kDone);
  EXPECT_FALSE(table.contains(0x1010));
  EXPECT_TRUE(table.remove(0x1000, entry));
  EXPECT_FALSE(table.remove(0x1000, entry));
}

TEST_F(LiveTableTest, AMissedFreeIsReplacedAndReported) {
  ASSERT_EQ(table.insert(0x1000, entry_of(1, 7), entry), LiveTable::Insert::kDone);
  ASSERT_EQ(table.insert(0x1000, entry_of(2, 8), entry), LiveTable::Insert::kReplaced);
  EXPECT_EQ(entry.trace, 7u);
  ASSERT_TRUE(table.remove(0x1000, entry));
  EXPECT_EQ(entry.trace, 8u);
  EXPECT_FALSE(table.contains(0x1000));
}

TEST_F(LiveTableTest, BehavesAsAMapWhileItGrowsAndShrinks) {
  std::map<uintptr_t, uint64_t> truth;
  std::mt19937_64 random(3);
  for (int i = 0; i < 300'000; ++i) {
    const uintptr_t address = 0x7F0000000000 + random() % 60'000 * 16;
    if (truth.count(address) != 0) {
      ASSERT_TRUE(table.remove(address, entry));
      ASSERT_EQ(entry.size_bytes, truth[address]);
      truth.erase(address);
    } else {
      const uint64_t size = random() % 100'000;
      ASSERT_EQ(table.insert(address, entry_of(size), entry), LiveTable::Insert::kDone);
      truth[address] = size;
    }
  }
  std::map<uintptr_t, uint64_t> seen;
  table.each([&](uintptr_t address, const LiveEntry& live) { seen[address] = live.size_bytes; });
  EXPECT_EQ(seen, truth);
}

// Bytes a block at a million live blocks, all tables together.
TEST_F(LiveTableTest, TakesNoMoreThanStated) {
  constexpr uint64_t kBlocks =
      kUnderThreadSanitizer ? 125'000 : 1'000'000;  // One thread does it all, and only slowly there.
  for (uint64_t i = 0; i < kBlocks; ++i) {
    ASSERT_EQ(table.insert(0x500000000000 + i * 48, entry_of(32), entry), LiveTable::Insert::kDone);
  }
  EXPECT_LE(memory.used_bytes(), 56 * kBlocks);
}

TEST_F(LiveTableTest, AtTheLimitItRefusesAndKeepsWhatItHas) {
  PrivateMemory little(64 << 10);
  LiveTable small(little, 2);
  uint64_t fitted = 0;
  while (small.insert(0x1000 + fitted * 16, entry_of(1), entry) != LiveTable::Insert::kNoRoom) ++fitted;
  EXPECT_GT(fitted, 500u);
  for (uint64_t i = 0; i < fitted; ++i) ASSERT_TRUE(small.remove(0x1000 + i * 16, entry)) << i;
}

// Each thread owns its addresses, as the allocator guarantees; a block is removed by another thread than inserted it.
// No entry may be lost or doubled while tables are added.
TEST_F(LiveTableTest, ThreadsDoNotLoseEachOthersEntries) {
  constexpr int kThreads = 4, kEach = 20'000;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        LiveEntry unused;
        for (int i = 0; i < kEach; ++i) {
          const uintptr_t address = 0x100000 + (static_cast<uintptr_t>(i) * kThreads + t) * 16;
          if (table.insert(address, entry_of(i, t + 1), unused) != LiveTable::Insert::kDone) abort();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    threads.clear();
    std::atomic<int> wrong{0};
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        LiveEntry live;
        const int owner = (t + 1) % kThreads;
        for (int i = 0; i < kEach; ++i) {
          const uintptr_t address = 0x100000 + (static_cast<uintptr_t>(i) * kThreads + owner) * 16;
          if (!table.remove(address, live) || live.size_bytes != static_cast<uint64_t>(i) ||
              live.trace != static_cast<uint32_t>(owner + 1)) {
            ++wrong;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0);
  }
  unsigned left = 0;
  table.each([&](uintptr_t, const LiveEntry&) { ++left; });
  EXPECT_EQ(left, 0u);
}

// Not even the largest size, the latest birth or the coarsest interval is taken for it.
TEST_F(LiveTableTest, ThatABlockIsIgnoredIsKeptBesideAllOfItsOtherFields) {
  const LiveEntry given = entry_of((uint64_t{1} << 43) - 1, 0xFFFFFFFF, (uint64_t{1} << 58) - 1, 15);
  ASSERT_EQ(table.insert(0x1000, given, entry), LiveTable::Insert::kDone);
  ASSERT_TRUE(table.look_up(0x1000, entry));
  EXPECT_FALSE(entry.ignored);
  ASSERT_TRUE(table.set_ignored(0x1000));
  ASSERT_TRUE(table.set_ignored(0x1000));
  ASSERT_TRUE(table.remove(0x1000, entry));
  EXPECT_TRUE(entry.ignored);
  EXPECT_EQ(entry.size_bytes, given.size_bytes);
  EXPECT_EQ(entry.trace, given.trace);
  EXPECT_EQ(entry.interval_shift, given.interval_shift);
  EXPECT_LE(given.birth_ns - entry.birth_ns, 1023u);
}

TEST_F(LiveTableTest, ABlockThatIsPutBackIsStillIgnored) {
  ASSERT_EQ(table.insert(0x1000, entry_of(10), entry), LiveTable::Insert::kDone);
  ASSERT_TRUE(table.set_ignored(0x1000));
  LiveEntry moved;
  ASSERT_TRUE(table.remove(0x1000, moved));
  ASSERT_EQ(table.insert(0x2000, moved, entry), LiveTable::Insert::kDone);  // As after a realloc.
  ASSERT_TRUE(table.look_up(0x2000, entry));
  EXPECT_TRUE(entry.ignored);
  // Another one that comes to lie at the old place is not.
  ASSERT_EQ(table.insert(0x1000, entry_of(10), entry), LiveTable::Insert::kDone);
  ASSERT_TRUE(table.look_up(0x1000, entry));
  EXPECT_FALSE(entry.ignored);
}

TEST_F(LiveTableTest, WhatPointsIntoABlockNamesIt) {
  ASSERT_EQ(table.insert(0x1000, entry_of(0x100), entry), LiveTable::Insert::kDone);
  ASSERT_EQ(table.insert(0x1100, entry_of(1), entry), LiveTable::Insert::kDone);
  ASSERT_TRUE(table.set_ignored(0x10FF));
  ASSERT_TRUE(table.look_up(0x1000, entry) && entry.ignored);
  ASSERT_TRUE(table.look_up(0x1100, entry));
  EXPECT_FALSE(entry.ignored) << "the neighbour";
}

TEST_F(LiveTableTest, OfNoBlockNothingIsIgnored) {
  EXPECT_FALSE(table.set_ignored(0x1000));  // There is no table yet.
  ASSERT_EQ(table.insert(0x1000, entry_of(0x100), entry), LiveTable::Insert::kDone);
  ASSERT_EQ(table.insert(0x3000, entry_of(0), entry), LiveTable::Insert::kDone);
  for (const uintptr_t address : {0ul, 1ul, 0xFFFul, 0x1100ul, 0x3001ul, ~0ul}) {
    EXPECT_FALSE(table.set_ignored(address)) << address;
  }
  ASSERT_TRUE(table.remove(0x1000, entry));
  EXPECT_FALSE(entry.ignored);
  EXPECT_FALSE(table.set_ignored(0x1000)) << "freed";
  EXPECT_FALSE(table.set_ignored(0x1010)) << "freed";
  EXPECT_TRUE(table.set_ignored(0x3000)) << "of no bytes, and a block";
}

// While the table grows and other blocks come and go, those that are ignored stay, and stay so.
TEST_F(LiveTableTest, ThreadsThatIgnoreBlocksAreNotDisturbedByOthers) {
  constexpr int kThreads = 4, kEach = 5'000;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      LiveEntry live;
      for (int i = 0; i < kEach; ++i) {
        const uintptr_t address = 0x100000 + (static_cast<uintptr_t>(i) * kThreads + t) * 64;
        if (table.insert(address, entry_of(48), live) != LiveTable::Insert::kDone) ++wrong;
        if (i % 2 == 0 && !table.set_ignored(address)) ++wrong;
        if (i % 3 == 0 && !table.remove(address, live)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  int left = 0;
  table.each([&](uintptr_t address, const LiveEntry& live) {
    const uintptr_t number = (address - 0x100000) / 64 / kThreads;
    EXPECT_EQ(live.ignored, number % 2 == 0) << number;
    EXPECT_NE(number % 3, 0u);
    ++left;
  });
  EXPECT_EQ(left, kThreads * (kEach - (kEach + 2) / 3));
}

}  // namespace
}  // namespace seep
