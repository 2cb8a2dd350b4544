// SPDX-License-Identifier: Apache-2.0
//
// The list of memory that the program says may hold pointers: against a multiset of ranges, at its limit, with threads.
#include "preload/leak_scan/root_regions.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace seep::leak_scan {
namespace {

constexpr unsigned kMost = 1024;

const void* at(uintptr_t address) { return reinterpret_cast<const void*>(address); }

class RootRegionsTest : public testing::Test {
 protected:
  using Ranges = std::multiset<std::pair<uintptr_t, uintptr_t>>;

  [[nodiscard]] Ranges all() const {
    Ranges ranges;
    regions->each([&](uintptr_t start, uintptr_t end) { ranges.insert({start, end}); });
    return ranges;
  }

  std::unique_ptr<RootRegions> regions = std::make_unique<RootRegions>();
};

TEST_F(RootRegionsTest, NothingIsNoRegion) {
  EXPECT_FALSE(regions->add(nullptr, 16));
  EXPECT_FALSE(regions->add(at(0x1000), 0));
  EXPECT_FALSE(regions->remove(nullptr, 0));
  EXPECT_FALSE(regions->remove(at(0x1000), 16));
  EXPECT_TRUE(all().empty());
}

TEST_F(RootRegionsTest, OnlyWhatWasAddedIsRemoved) {
  ASSERT_TRUE(regions->add(at(0x1000), 0x100));
  EXPECT_FALSE(regions->remove(at(0x1000), 0xFF));
  EXPECT_FALSE(regions->remove(at(0x1008), 0x100));
  EXPECT_FALSE(regions->remove(at(0x1000), 0));
  EXPECT_EQ(all(), (Ranges{{0x1000, 0x1100}}));
  EXPECT_TRUE(regions->remove(at(0x1000), 0x100));
  EXPECT_FALSE(regions->remove(at(0x1000), 0x100));
  EXPECT_TRUE(all().empty());
}

TEST_F(RootRegionsTest, WhatDoesNotFitIsRefusedAndTheRestStays) {
  for (uintptr_t i = 1; i <= kMost; ++i) ASSERT_TRUE(regions->add(at(i * 16), 8));
  EXPECT_FALSE(regions->add(at(0x100000), 8));
  EXPECT_EQ(all().size(), kMost);
  ASSERT_TRUE(regions->remove(at(kMost / 2 * 16), 8));
  EXPECT_TRUE(regions->add(at(0x100000), 8));
  EXPECT_EQ(all().count({0x100000, 0x100008}), 1u);
}

// The same region may be added more than once, and by different lengths.
TEST_F(RootRegionsTest, BehavesAsAMultisetOfRanges) {
  Ranges truth;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const uintptr_t start = 0x1000 + random() % 8 * 16;
    const size_t bytes = 8 + random() % 4 * 8;
    const std::pair range{start, start + bytes};
    if (random() % 2 == 0) {
      ASSERT_EQ(regions->add(at(start), bytes), truth.size() < kMost);
      if (truth.size() < kMost) truth.insert(range);
    } else {
      const auto there = truth.find(range);
      ASSERT_EQ(regions->remove(at(start), bytes), there != truth.end());
      if (there != truth.end()) truth.erase(there);
    }
    if (i % 100 != 0) continue;
    ASSERT_EQ(all(), truth);
  }
  EXPECT_EQ(all(), truth);
}

// Each thread adds and removes the same regions as the others, and reads: what one has added it can remove, and no
// region is ever seen with the length of another.
TEST_F(RootRegionsTest, ThreadsDoNotLoseEachOthersRegions) {
  constexpr unsigned kThreads = 4;
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const uintptr_t shared = 0x1000, own = 0x100000 * (t + 1);
      wrong += !regions->add(at(own), 8);
      for (int i = 0; i < 5'000; ++i) {
        wrong += !regions->add(at(shared), 16);
        wrong += !regions->add(at(own + 16), 24);
        wrong += !regions->remove(at(own + 16), 24);
        wrong += !regions->remove(at(shared), 16);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  Ranges left;
  for (uintptr_t t = 0; t < kThreads; ++t) left.insert({0x100000 * (t + 1), 0x100000 * (t + 1) + 8});
  EXPECT_EQ(all(), left);
}

}  // namespace
}  // namespace seep::leak_scan
