// SPDX-License-Identifier: Apache-2.0
//
// The list of memory that a copy of the process does not get: against a set of pages, at its limits, with threads.
#include "preload/leak_scan/fork_memory.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace seep::leak_scan {
namespace {

constexpr uint64_t kPage = 4096;
constexpr ForkMemory::Kinds kNotCopied = 1 << ForkMemory::kNotCopied, kWiped = 1 << ForkMemory::kWiped;

class ForkMemoryTest : public testing::Test {
 protected:
  // All pages of all ranges.
  [[nodiscard]] std::set<uint64_t> pages() const {
    std::set<uint64_t> all;
    memory.each([&](uint64_t start, uint64_t end) {
      for (uint64_t page = start / kPage; page < end / kPage; ++page) all.insert(page);
    });
    return all;
  }
  [[nodiscard]] unsigned ranges() const {
    unsigned count = 0;
    memory.each([&](uint64_t, uint64_t) { ++count; });
    return count;
  }

  ForkMemory memory;
};

TEST_F(ForkMemoryTest, HoldsNothingAtFirst) {
  EXPECT_FALSE(memory.any());
  EXPECT_FALSE(memory.overflowed());
  EXPECT_EQ(memory.forget(ForkMemory::kBoth, 0, ~uint64_t{0}), 0);
}

TEST_F(ForkMemoryTest, HoldsEachPageThatARangeTouches) {
  memory.note(kNotCopied, 0x10000, 1);
  memory.note(kNotCopied, 0x20000, kPage + 1);
  memory.note(kNotCopied, 0x30000, 0);
  EXPECT_EQ(pages(), (std::set<uint64_t>{0x10, 0x20, 0x21}));
  EXPECT_TRUE(memory.any());
}

TEST_F(ForkMemoryTest, NeighboursAreOneRange) {
  for (uint64_t page = 0; page < 1000; ++page) memory.note(kNotCopied, page * kPage, kPage);
  EXPECT_EQ(ranges(), 1u);
  EXPECT_EQ(pages().size(), 1000u);
  EXPECT_FALSE(memory.overflowed());
}

TEST_F(ForkMemoryTest, TheKindsAreApart) {
  memory.note(kNotCopied | kWiped, 0x10000, 4 * kPage);
  EXPECT_EQ(memory.kinds_in(0x11000, 1), kNotCopied | kWiped);
  EXPECT_EQ(memory.forget(kNotCopied, 0x10000, 4 * kPage), kNotCopied);
  EXPECT_EQ(memory.kinds_in(0x11000, 1), kWiped);
  EXPECT_EQ(pages().size(), 4u);
  EXPECT_EQ(memory.forget(ForkMemory::kBoth, 0x13000, 100 * kPage), kWiped);
  EXPECT_EQ(pages(), (std::set<uint64_t>{0x10, 0x11, 0x12}));
}

TEST_F(ForkMemoryTest, AHoleInTheMiddleLeavesBothEnds) {
  memory.note(kWiped, 0x10000, 5 * kPage);
  EXPECT_EQ(memory.forget(kWiped, 0x12000, kPage), kWiped);
  EXPECT_EQ(pages(), (std::set<uint64_t>{0x10, 0x11, 0x13, 0x14}));
  EXPECT_EQ(memory.forget(kWiped, 0x12000, kPage), 0);
}

TEST_F(ForkMemoryTest, SaysSoWhenItIsFullAndKeepsWhatItHas) {
  for (uint64_t i = 0; i < ForkMemory::kEntries; ++i) memory.note(kNotCopied, i * 4 * kPage, 3 * kPage);
  EXPECT_FALSE(memory.overflowed());
  EXPECT_EQ(pages().size(), 3u * ForkMemory::kEntries);
  // No room for the second half: all of it stays.
  memory.forget(kNotCopied, kPage, kPage);
  EXPECT_EQ(pages().size(), 3u * ForkMemory::kEntries);
  EXPECT_FALSE(memory.overflowed());
  memory.note(kNotCopied, uint64_t{1} << 40, kPage);
  EXPECT_TRUE(memory.overflowed());
}

TEST_F(ForkMemoryTest, PlacesAreUsedAgain) {
  for (uint64_t i = 0; i < 10 * ForkMemory::kEntries; ++i) {
    memory.note(kNotCopied, i * 2 * kPage, kPage);
    memory.forget(kNotCopied, i * 2 * kPage, kPage);
  }
  EXPECT_FALSE(memory.any());
  EXPECT_FALSE(memory.overflowed());
}

TEST_F(ForkMemoryTest, ARangeMayBeLongerThanAnEntry) {
  const uint64_t tebibyte = uint64_t{1} << 40;
  memory.note(kNotCopied, tebibyte, 3 * tebibyte);
  uint64_t covered = 0;
  memory.each([&](uint64_t start, uint64_t end) { covered += end - start; });
  EXPECT_EQ(covered, 3 * tebibyte);
  EXPECT_FALSE(memory.overflowed());
  EXPECT_EQ(memory.forget(kNotCopied, tebibyte, 3 * tebibyte), kNotCopied);
  EXPECT_FALSE(memory.any());
}

TEST_F(ForkMemoryTest, AddressesBeyondItsEntriesAreAnOverflow) {
  memory.note(kNotCopied, (uint64_t{1} << 47) - kPage, kPage);
  EXPECT_FALSE(memory.overflowed());
  memory.note(kNotCopied, uint64_t{1} << 47, kPage);
  EXPECT_TRUE(memory.overflowed());
}

TEST_F(ForkMemoryTest, WhileAMappingMovesNothingIsKnown) {
  memory.begin_move();
  EXPECT_TRUE(memory.overflowed());
  memory.end_move();
  EXPECT_FALSE(memory.overflowed());
}

TEST_F(ForkMemoryTest, BehavesAsASetOfPagesOfEachKind) {
  std::map<unsigned, std::set<uint64_t>> truth;
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t first = 1000 + random() % 100, count = 1 + random() % 12;
    const auto kinds = static_cast<ForkMemory::Kinds>(1 + random() % 3);
    const bool notes = random() % 2 == 0;
    if (notes) memory.note(kinds, first * kPage, count * kPage);
    else memory.forget(kinds, first * kPage, count * kPage);
    for (uint64_t page = first; page < first + count; ++page) {
      for (const unsigned kind : {ForkMemory::kNotCopied, ForkMemory::kWiped}) {
        if ((kinds >> kind & 1) == 0) continue;
        if (notes) truth[kind].insert(page);
        else truth[kind].erase(page);
      }
    }
    if (i % 50 != 0) continue;
    for (uint64_t page = 990; page < 1120; ++page) {
      const uint64_t expected = truth[0].count(page) | truth[1].count(page) << 1;
      ASSERT_EQ(memory.kinds_in(page * kPage, kPage), expected) << page << " after " << i;
    }
  }
  ASSERT_FALSE(memory.overflowed());
}

// Each thread has memory of its own, whose ranges meet: what it noted is there all the time.
TEST_F(ForkMemoryTest, ThreadsDoNotLoseEachOthersRanges) {
  std::atomic<uint64_t> lost{0};
  std::vector<std::thread> threads;
  for (uint64_t number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      const uint64_t mine = (100 + number * 3) * kPage;
      memory.note(kNotCopied, mine, kPage);
      for (int i = 0; i < 20'000; ++i) {
        memory.note(kNotCopied, mine + kPage, kPage);
        lost += memory.kinds_in(mine, 2 * kPage) == 0 ? 1 : 0;
        memory.forget(kNotCopied, mine + kPage, kPage);
        lost += memory.kinds_in(mine, kPage) == 0 ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0u);
}

}  // namespace
}  // namespace seep::leak_scan
