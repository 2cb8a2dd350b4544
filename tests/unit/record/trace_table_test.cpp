// SPDX-License-Identifier: Apache-2.0
#include "record/trace_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "test_region.h"

namespace seep {
namespace {

std::vector<Frame> frames_of(uint64_t number, uint32_t count = 5) {
  std::vector<Frame> frames;
  for (uint32_t i = 0; i < count; ++i) frames.push_back(make_frame(i + 1, number * 64 + i));
  return frames;
}

unsigned listed(Region region) {
  unsigned count = 0;
  for (Ref ref = region.header().newest[0].trace.load(); ref != 0; ref = region.at<Trace>(ref)->next_older) ++count;
  return count;
}

TEST(TraceTable, TheSameFramesAreStoredOnce) {
  TestRegion region;
  TraceTable table(region.get());
  const auto frames = frames_of(1);
  const Ref ref = table.find_or_insert(frames.data(), 5, Cut::kWhole, 77);
  ASSERT_NE(ref, 0u);
  EXPECT_EQ(table.find_or_insert(frames.data(), 5, Cut::kWhole, 99), ref);
  Trace& trace = *region.get().at<Trace>(ref);
  EXPECT_EQ(trace.first_allocated_ns, 77u);
  EXPECT_EQ(std::vector<Frame>(trace.frames(region.get().header()), trace.frames(region.get().header()) + 5), frames);
  EXPECT_EQ(listed(region.get()), 1u);
}

TEST(TraceTable, PrefixesAndCutsAreOtherTraces) {
  TestRegion region;
  TraceTable table(region.get());
  const auto frames = frames_of(1);
  std::set<Ref> refs;
  for (uint32_t count = 0; count <= 5; ++count) refs.insert(table.find_or_insert(frames.data(), count, Cut::kWhole, 0));
  refs.insert(table.find_or_insert(frames.data(), 5, Cut::kDepthLimit, 0));
  EXPECT_EQ(refs.size(), 7u);
  EXPECT_EQ(refs.count(0), 0u);
}

TEST(TraceTable, FindDoesNotInsert) {
  TestRegion region;
  TraceTable table(region.get());
  EXPECT_EQ(table.find(frames_of(1).data(), 5, Cut::kWhole), 0u);
  EXPECT_EQ(listed(region.get()), 0u);
}

// 200,000 traces share trie paths of many lengths; every one must be found again, as itself.
TEST(TraceTable, ManyTracesAreAllFoundAgain) {
  TestRegion region(1 << 30);
  TraceTable table(region.get());
  std::map<uint64_t, Ref> known;
  for (uint64_t i = 0; i < 200'000; ++i) {
    known[i] = table.find_or_insert(frames_of(i, 3).data(), 3, Cut::kWhole, 0);
    ASSERT_NE(known[i], 0u);
  }
  for (const auto& [number, ref] : known) ASSERT_EQ(table.find(frames_of(number, 3).data(), 3, Cut::kWhole), ref);
  EXPECT_EQ(listed(region.get()), 200'000u);
}

TEST(TraceTable, AFullRegionRefusesNewTracesAndKeepsTheOld) {
  TestRegion region(512 << 10);
  TraceTable table(region.get());
  uint64_t number = 0;
  while (table.find_or_insert(frames_of(number).data(), 5, Cut::kWhole, 0) != 0) ++number;
  EXPECT_GT(number, 100u);
  for (uint64_t i = 0; i < number; ++i) ASSERT_NE(table.find(frames_of(i).data(), 5, Cut::kWhole), 0u);
}

// Threads insert the same traces at once and count on what they get: no count may be lost, and each trace's counts must
// stand at one entry only.
TEST(TraceTable, RacingThreadsAgreeOnEachTrace) {
  TestRegion region(256 << 20);
  constexpr int kThreads = 4;
  constexpr uint64_t kTraces = 3000;
  std::atomic<int> waiting{kThreads};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      TraceTable table(region.get());
      --waiting;
      while (waiting.load() > 0) std::this_thread::yield();
      for (uint64_t i = 0; i < kTraces; ++i) {
        const Ref ref = table.find_or_insert(frames_of(i).data(), 5, Cut::kWhole, 0);
        count_allocation(*table.shard(*region.get().at<Trace>(ref), static_cast<unsigned>(t)), 10, 0, nullptr);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  TraceTable table(region.get());
  unsigned with_counts = 0;
  for (Ref ref = region.get().header().newest[0].trace.load(); ref != 0;
       ref = region.get().at<Trace>(ref)->next_older) {
    uint64_t blocks = 0;
    table.each_shard(*region.get().at<Trace>(ref), [&](CounterBlock& shard) { blocks += shard.alloc_blocks.load(); });
    EXPECT_TRUE(blocks == 0 || blocks == kThreads) << blocks;
    with_counts += blocks != 0;
  }
  EXPECT_EQ(with_counts, kTraces);
}

TEST(TraceTable, PeakAndThreadNamesAreKept) {
  TestRegion region;
  TraceTable table(region.get());
  Trace& trace = *region.get().at<Trace>(table.find_or_insert(frames_of(1).data(), 5, Cut::kWhole, 0));
  count_allocation(*table.shard(trace, 0), 100, 0, nullptr);
  count_allocation(*table.shard(trace, 1), 100, 0, nullptr);
  table.note_peak(trace, nullptr, 100);
  count_free(*table.shard(trace, 2), 100, 0, 0, false, nullptr);
  count_allocation(*table.shard(trace, 0), 20, 0, nullptr);
  table.note_peak(trace, nullptr, 20);
  for (uint16_t name : {uint16_t{3}, uint16_t{4}, uint16_t{5}, uint16_t{6}, uint16_t{4}}) {
    table.note_thread_name(trace, name);
  }
  EXPECT_EQ(trace.peak_live_bytes.load(), 200u);
  EXPECT_EQ(trace.thread_names[0].load(), 3);
  EXPECT_EQ(trace.thread_names[3].load(), 6);
  EXPECT_EQ(trace.more_thread_names.load(), 0);
  table.note_thread_name(trace, 7);
  EXPECT_EQ(trace.more_thread_names.load(), 1);
}

TEST(FreeingStack, IsPackedWithoutLoss) {
  const FreeingStack largest{0xFFFFFFFF, FreeingStack::kMostLooks, FreeingStack::kMostLooks, FreeingStack::kMostVotes};
  EXPECT_EQ(largest.pack(), ~uint64_t{0});
  for (const FreeingStack& each : {largest, FreeingStack{1, 0, 0, 0}, FreeingStack{0, 1, 0, 0},
                                   FreeingStack{0, 0, 1, 0}, FreeingStack{0, 0, 0, 1}, FreeingStack{7, 300, 200, 9}}) {
    const FreeingStack again = FreeingStack::unpack(each.pack());
    EXPECT_EQ(again.trace, each.trace);
    EXPECT_EQ(again.looked_at, each.looked_at);
    EXPECT_EQ(again.seen, each.seen);
    EXPECT_EQ(again.votes, each.votes);
  }
}

// Traces of one site, and others that free its blocks.
class FreeingTest : public testing::Test {
 protected:
  Ref trace_of(uint64_t number) { return table.find_or_insert(frames_of(number).data(), 5, Cut::kWhole, 0); }
  Trace& at(Ref ref) { return *region.get().at<Trace>(ref); }
  FreeingStack freeing() { return FreeingStack::unpack(at(site).freeing.load()); }

  TestRegion region;
  TraceTable table{region.get()};
  const Ref site = trace_of(0);
};

// Against a count of each stack. With fewer looks than votes can be counted the vote is exact.
TEST_F(FreeingTest, TheStackOfMoreThanHalfOfTheFreesIsFound) {
  std::mt19937_64 random(11);
  const Ref stacks[] = {trace_of(1), trace_of(2), trace_of(3)};
  unsigned with_majority = 0;
  for (int round = 0; round < 2000; ++round) {
    at(site).freeing = 0;
    std::map<Ref, uint64_t> truth;
    const uint64_t looks = 1 + random() % FreeingStack::kMostVotes;
    for (uint64_t i = 0; i < looks; ++i) {
      const Ref stack = stacks[std::min<uint64_t>(random() % 5, 2)];
      ++truth[stack];
      table.note_freeing(at(site), stack);
    }
    const FreeingStack found = freeing();
    ASSERT_EQ(found.looked_at, looks);
    ASSERT_GT(found.seen, 0u);
    ASSERT_LE(found.seen, truth[found.trace]);
    for (const auto& [stack, count] : truth) {
      if (2 * count <= looks) continue;
      ++with_majority;
      ASSERT_EQ(found.trace, stack) << count << " of " << looks;
    }
  }
  EXPECT_GT(with_majority, 500u);
}

TEST_F(FreeingTest, OneStackIsSeenInAllOfItsFrees) {
  const Ref stack = trace_of(1);
  for (uint64_t i = 1; i <= 20; ++i) {
    table.note_freeing(at(site), stack);
    EXPECT_EQ(freeing().looked_at, i);
    EXPECT_EQ(freeing().seen, i);
  }
  EXPECT_EQ(freeing().trace, stack);
  EXPECT_EQ(at(stack).is_freeing.load(), 1u);
  EXPECT_EQ(at(site).is_freeing.load(), 0u);
}

TEST_F(FreeingTest, TheCountsEndAtTheirMost) {
  const Ref stack = trace_of(1);
  for (uint64_t i = 0; i < FreeingStack::kMostLooks + 1000; ++i) table.note_freeing(at(site), stack);
  EXPECT_EQ(freeing().trace, stack);
  EXPECT_EQ(freeing().looked_at, FreeingStack::kMostLooks);
  EXPECT_EQ(freeing().seen, FreeingStack::kMostLooks);
  EXPECT_EQ(freeing().votes, FreeingStack::kMostVotes);
}

TEST_F(FreeingTest, RacingThreadsLoseNoLook) {
  constexpr uint64_t kThreads = 4, kEach = FreeingStack::kMostLooks / kThreads;
  const Ref mostly = trace_of(1), seldom = trace_of(2);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < kEach; ++i) table.note_freeing(at(site), i % 8 == t ? seldom : mostly);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(freeing().looked_at, kThreads * kEach);
  EXPECT_EQ(freeing().trace, mostly);
  EXPECT_LE(freeing().seen, kThreads * kEach * 7 / 8 + kThreads);
}

TEST_F(FreeingTest, FreesAreLookedAtLessAndLess) {
  std::set<uint64_t> looked_at;
  for (uint64_t number = 1; number <= 1024; ++number) {
    if (TraceTable::looks_at_free(number)) looked_at.insert(number);
  }
  EXPECT_EQ(looked_at, (std::set<uint64_t>{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024}));
}

// Blocks are mostly freed by another thread than allocated them, and so in another shard.
TEST_F(FreeingTest, LiveIsWhatAllShardsHaveLeft) {
  Trace& trace = at(site);
  EXPECT_FALSE(table.has_live(trace));
  count_allocation(*table.shard(trace, 0), 10, 0, nullptr);
  count_allocation(*table.shard(trace, 2), 10, 0, nullptr);
  EXPECT_TRUE(table.has_live(trace));
  count_free(*table.shard(trace, 1), 10, 0, 0, false, nullptr);
  EXPECT_TRUE(table.has_live(trace));
  count_free(*table.shard(trace, 1), 10, 0, 0, false, nullptr);
  EXPECT_FALSE(table.has_live(trace));
  // One that was not known, or is counted here before its allocation is there.
  count_free(*table.shard(trace, 1), 10, 0, 0, false, nullptr);
  EXPECT_FALSE(table.has_live(trace));
}

}  // namespace
}  // namespace seep
