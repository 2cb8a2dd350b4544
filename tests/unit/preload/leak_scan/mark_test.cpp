// SPDX-License-Identifier: Apache-2.0
#include "preload/leak_scan/mark.h"

#include <numeric>

#include "test_heap.h"

namespace seep::leak_scan {
namespace {

struct MarkTest : testing::Test {
  TestHeap heap;
};

TEST_F(MarkTest, OneBlockOfEachClass) {
  const uint64_t reachable = heap.block(32), by_chain = heap.block(32), possible = heap.block(32),
                 by_possible = heap.block(32), definite = heap.block(32), indirect = heap.block(24);
  heap.root(reachable);
  heap.root(possible + 4);
  heap.write(reachable + 24, by_chain);
  heap.write(possible + 16, by_possible);
  heap.write(definite, indirect);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(reachable), Verdict::kReachable);
  EXPECT_EQ(judged.of(by_chain), Verdict::kReachable);
  EXPECT_EQ(judged.of(possible), Verdict::kPossible);
  EXPECT_EQ(judged.of(by_possible), Verdict::kPossible) << "a start pointer, but the chain has another before it";
  EXPECT_EQ(judged.of(definite), Verdict::kDefinite);
  EXPECT_EQ(judged.of(indirect), Verdict::kIndirect);
  ASSERT_EQ(judged.leaks.size(), 1u);
  EXPECT_EQ(judged.leaks.at(definite).indirect_blocks, 1u);
  EXPECT_EQ(judged.leaks.at(definite).indirect_bytes, 24u);
}

TEST_F(MarkTest, AnInteriorPointerAfterAStartPointerMakesItPossible) {
  const uint64_t first = heap.block(32), second = heap.block(32), third = heap.block(32);
  heap.root(first);
  heap.write(first, second + 8);
  heap.write(second, third);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(first), Verdict::kReachable);
  EXPECT_EQ(judged.of(second), Verdict::kPossible);
  EXPECT_EQ(judged.of(third), Verdict::kPossible);
}

// It is possible when first met, with all behind it, and must be looked into once more.
TEST_F(MarkTest, ABlockIsRaisedWithAllBehindIt) {
  const uint64_t by_start = heap.block(32), raised = heap.block(32), behind = heap.block(32), end = heap.block(8);
  heap.root(raised + 8);
  for (unsigned i = 0; i < 1000; ++i) heap.root(0);
  heap.root(by_start);
  heap.write(by_start, raised);
  heap.write(raised, behind);
  heap.write(behind + 16, end);
  heap.write(end, raised);
  const Judged judged(heap);
  for (const uint64_t block : {raised, behind, end}) EXPECT_EQ(judged.of(block), Verdict::kReachable);
}

TEST_F(MarkTest, APointerRightBehindABlockDoesNotHoldIt) {
  const uint64_t block = heap.block(32);
  heap.root(block + 32);
  heap.root(block - 1);
  EXPECT_EQ(Judged(heap).of(block), Verdict::kDefinite);
}

TEST_F(MarkTest, ABlockOfNoBytesIsHeldByItsAddress) {
  const uint64_t held = heap.block(0), lost = heap.block(0);
  heap.root(held);
  heap.root(lost + 1);
  EXPECT_EQ(Judged(heap).of(held), Verdict::kReachable);
  EXPECT_EQ(Judged(heap).of(lost), Verdict::kDefinite);
}

TEST_F(MarkTest, UnalignedWordsAreNoPointers) {
  const uint64_t block = heap.block(32), holder = heap.block(32);
  heap.root(holder);
  heap.write(holder + 12, block);
  EXPECT_EQ(Judged(heap).of(block), Verdict::kDefinite);
}

TEST_F(MarkTest, AnUnalignedBlockIsReadAtAlignedAddresses) {
  TestHeap other;
  const uint64_t target = other.block(16);
  const uint64_t odd = other.block(64) + 4;
  other.blocks.back() = {odd, 30};  // Of its words only those at 4, 12 are whole and aligned.
  other.write(odd + 4, target);
  other.root(odd);
  EXPECT_EQ(Judged(other).of(target), Verdict::kReachable);
  other.write(odd + 4, 0);
  other.write(odd + 28, target);
  EXPECT_EQ(Judged(other).of(target), Verdict::kDefinite);
}

TEST_F(MarkTest, ASelfPointerDoesNotSaveABlock) {
  const uint64_t self = heap.block(32);
  heap.write(self + 8, self);
  heap.write(self + 16, self + 4);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(self), Verdict::kDefinite);
  EXPECT_EQ(judged.leaks.at(self).indirect_blocks, 0u);
  MarkOptions sampled;
  sampled.mode = MarkOptions::Mode::kSampled;
  EXPECT_EQ(Judged(heap, sampled).of(self), Verdict::kDefinite);
}

TEST_F(MarkTest, ARingIsOneLeakAtItsLowestAddress) {
  const uint64_t low = heap.block(10), middle = heap.block(20), high = heap.block(30);
  heap.write(low, high);
  heap.write(high, middle);
  heap.write(middle, low);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(low), Verdict::kDefinite);
  EXPECT_EQ(judged.of(middle), Verdict::kIndirect);
  EXPECT_EQ(judged.of(high), Verdict::kIndirect);
  ASSERT_EQ(judged.leaks.size(), 1u);
  EXPECT_EQ(judged.leaks.at(low).indirect_blocks, 2u);
  EXPECT_EQ(judged.leaks.at(low).indirect_bytes, 50u);
}

// A block that points into the ring is the leak, wherever it lies.
TEST_F(MarkTest, ARingWithATailHangsFromTheTail) {
  const uint64_t below = heap.block(16), ring = heap.block(16), ring_too = heap.block(16), above = heap.block(16);
  heap.write(ring, ring_too);
  heap.write(ring_too, ring);
  heap.write(above, ring_too);
  const Judged from_above(heap);
  EXPECT_EQ(from_above.of(above), Verdict::kDefinite);
  EXPECT_EQ(from_above.of(ring), Verdict::kIndirect);
  EXPECT_EQ(from_above.of(ring_too), Verdict::kIndirect);
  EXPECT_EQ(from_above.leaks.at(above).indirect_bytes, 32u);
  EXPECT_EQ(from_above.of(below), Verdict::kDefinite);

  heap.write(above, 0);
  heap.write(below, ring_too);
  const Judged from_below(heap);
  EXPECT_EQ(from_below.of(below), Verdict::kDefinite);
  EXPECT_EQ(from_below.of(ring), Verdict::kIndirect);
  EXPECT_EQ(from_below.leaks.at(below).indirect_blocks, 2u);
}

TEST_F(MarkTest, ARingThatHoldsALongerStructureCarriesItsWeight) {
  const uint64_t child = heap.block(100), ring = heap.block(16), ring_too = heap.block(16);
  heap.write(ring, ring_too);
  heap.write(ring_too, ring);
  heap.write(ring_too + 8, child);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(child), Verdict::kIndirect);
  EXPECT_EQ(judged.leaks.at(ring).indirect_bytes, 116u);
}

TEST_F(MarkTest, AChildOfTwoLeaksCountsOnceWithTheHigher) {
  const uint64_t child = heap.block(100), low = heap.block(16), high = heap.block(16), own = heap.block(3);
  heap.write(low, child);
  heap.write(low + 8, own);
  heap.write(high, child);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(child), Verdict::kIndirect);
  EXPECT_EQ(judged.of(low), Verdict::kDefinite);
  EXPECT_EQ(judged.of(high), Verdict::kDefinite);
  EXPECT_EQ(judged.leaks.at(low).indirect_bytes, 3u);
  EXPECT_EQ(judged.leaks.at(high).indirect_bytes, 100u);
}

TEST_F(MarkTest, AReachedBlockIsNoPartOfALeakThatPointsAtIt) {
  const uint64_t held = heap.block(100), leaked = heap.block(16);
  heap.root(held);
  heap.write(leaked, held);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(held), Verdict::kReachable);
  EXPECT_EQ(judged.leaks.at(leaked).indirect_blocks, 0u);
}

TEST_F(MarkTest, AnEmptyArrayIsHeldByThePointerBehindItsCount) {
  const uint64_t empty = heap.block(8), aligned = heap.block(16), filled = heap.block(8), large = heap.block(32);
  heap.write(filled, 1);
  for (const uint64_t end : {empty + 8, aligned + 16, filled + 8, large + 32}) heap.root(end);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(empty), Verdict::kReachable);
  EXPECT_EQ(judged.of(aligned), Verdict::kReachable);
  EXPECT_EQ(judged.of(filled), Verdict::kDefinite) << "there is an element, so it is no empty array";
  EXPECT_EQ(judged.of(large), Verdict::kDefinite) << "a count has at most 16 bytes";
}

// Where blocks have no gap between them the same word is the start of the next one.
TEST_F(MarkTest, AnEmptyArrayRightBeforeABlockIsNotLost) {
  const uint64_t empty = heap.block(8, 0), next = heap.block(8);
  ASSERT_EQ(empty + 8, next);
  heap.write(next, 5);
  heap.root(next);
  const Judged judged(heap);
  EXPECT_EQ(judged.of(next), Verdict::kReachable);
  EXPECT_EQ(judged.of(empty), Verdict::kPossible);
}

TEST_F(MarkTest, ABlockOf16BytesRightBeforeABlockIsNoEmptyArray) {
  const uint64_t lost = heap.block(16, 0), next = heap.block(8);
  ASSERT_EQ(lost + 16, next);
  heap.root(next);
  EXPECT_EQ(Judged(heap).of(lost), Verdict::kDefinite);
}

TEST_F(MarkTest, SingleWordsAreRoots) {
  const uint64_t held = heap.block(16), inside = heap.block(16), lost = heap.block(16);
  PrivateMemory memory;
  BlockIndex index(memory);
  ASSERT_TRUE(index.reserve(3));
  for (const auto& [start, size] : heap.blocks) ASSERT_TRUE(index.add(start, size, 1));
  ASSERT_EQ(index.build({}), Outcome::kDone);
  Marker marker(memory, index, {});
  ASSERT_EQ(marker.start(), Outcome::kDone);
  for (unsigned i = 0; i < 1000; ++i) marker.add_root(held);
  marker.add_root(inside + 8);
  marker.add_root(42);
  ASSERT_EQ(marker.finish(), Outcome::kDone);
  EXPECT_EQ(marker.verdict(index.find(held)), Verdict::kReachable);
  EXPECT_EQ(marker.verdict(index.find(inside)), Verdict::kPossible);
  EXPECT_EQ(marker.verdict(index.find(lost)), Verdict::kDefinite);
}

// The heap's memory of a program that is not position-independent begins in the first four gigabytes, where all small
// numbers are near it.
TEST(MarkLowHeap, SmallNumbersAreNotTakenForPointers) {
  void* low = mmap(reinterpret_cast<void*>(0x1000'0000), 4096, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (low == MAP_FAILED) GTEST_SKIP() << "not run: the address is taken";
  PrivateMemory memory;
  BlockIndex index(memory);
  ASSERT_TRUE(index.reserve(2));
  ASSERT_TRUE(index.add(0x1000'0000, 16, 1));
  ASSERT_TRUE(index.add(0x1000'0100, 24, 1));
  ASSERT_EQ(index.build({}), Outcome::kDone);
  Marker marker(memory, index, {});
  ASSERT_EQ(marker.start(), Outcome::kDone);
  const uint64_t words[] = {0, 1, 0xFFF'FFFF, 0x1000'0118, 0x1'1000'0100, 0x1000'0000, ~uint64_t{0}, 0x8000'0000};
  marker.add_roots(reinterpret_cast<uint64_t>(words), reinterpret_cast<uint64_t>(words + 8));
  ASSERT_EQ(marker.finish(), Outcome::kDone);
  EXPECT_EQ(marker.verdict(0), Verdict::kReachable);
  EXPECT_EQ(marker.verdict(1), Verdict::kDefinite);
  munmap(low, 4096);
}

TEST_F(MarkTest, UnreadableMemoryIsNotRead) {
  TestHeap other(64 << 10);
  const uint64_t large = other.block(40 << 10), before = other.block(16), hidden = other.block(16),
                 after = other.block(16);
  other.write(large, before);
  other.write(large + (12 << 10), hidden);
  other.write(large + (30 << 10), after);
  other.root(large);
  const uint64_t hole = large + (8 << 10), hole_end = large + (16 << 10);
  ASSERT_EQ(mprotect(reinterpret_cast<void*>(hole), hole_end - hole, PROT_NONE), 0);
  const MarkOptions::Range readable[] = {{large, hole}, {hole_end, other.start() + (64 << 10)}};
  MarkOptions options;
  options.readable = readable;
  options.readable_count = 2;
  const Judged judged(other, options);
  EXPECT_EQ(judged.of(before), Verdict::kReachable);
  EXPECT_EQ(judged.of(after), Verdict::kReachable);
  EXPECT_EQ(judged.of(hidden), Verdict::kDefinite);
}

TEST_F(MarkTest, NothingReadableAtAll) {
  const uint64_t block = heap.block(16), behind = heap.block(8);
  heap.write(block, behind);
  heap.root(block);
  heap.root(behind + 8);
  const MarkOptions::Range nowhere{1, 2};
  MarkOptions options;
  options.readable = &nowhere;
  options.readable_count = 0;
  const Judged judged(heap, options);
  EXPECT_EQ(judged.of(block), Verdict::kReachable);
  EXPECT_EQ(judged.of(behind), Verdict::kDefinite);
}

TEST(MarkLarge, AListOfAMillionBlocks) {
  constexpr unsigned kBlocks = 1'000'000;
  for (const bool upwards : {true, false}) {
    TestHeap heap(uint64_t{64} << 20);
    for (unsigned i = 0; i < kBlocks; ++i) heap.block(24);
    for (unsigned i = 1; i < kBlocks; ++i) {
      if (upwards) heap.write(heap.blocks[i - 1].start, heap.blocks[i].start);
      else heap.write(heap.blocks[i].start, heap.blocks[i - 1].start);
    }
    const uint64_t head = upwards ? heap.blocks.front().start : heap.blocks.back().start;
    const Judged leaked(heap);
    ASSERT_EQ(leaked.leaks.size(), 1u);
    EXPECT_EQ(leaked.leaks.at(head).indirect_blocks, kBlocks - 1);
    heap.root(head);
    const Judged held(heap);
    EXPECT_TRUE(held.leaks.empty());
    for (const auto& [start, verdict] : held.verdicts) ASSERT_EQ(verdict, Verdict::kReachable);
  }
}

// A fan of blocks, each with a list: more is pending at once than fits where the stack gets no memory.
TEST(MarkLarge, WhereTheStackGetsNoMemoryTheVerdictIsTheSame) {
  constexpr unsigned kFan = 30'000;
  TestHeap heap(uint64_t{16} << 20);
  const uint64_t fan = heap.block(kFan * 8), lost_fan = heap.block(kFan * 8);
  std::vector<uint64_t> children;
  for (unsigned i = 0; i < 4 * kFan; ++i) children.push_back(heap.block(16));
  for (unsigned i = 0; i < kFan; ++i) {
    heap.write(fan + i * 8, children[i * 4 + 3]);
    heap.write(children[i * 4 + 3], children[i * 4]);
    heap.write(lost_fan + i * 8, children[i * 4 + 2]);
    heap.write(children[i * 4 + 2], children[i * 4 + 1]);
  }
  heap.root(fan);
  const Judged judged(heap, {}, heap.blocks.size() + 100);
  ASSERT_EQ(judged.outcome, Outcome::kDone);
  EXPECT_EQ(judged.of(lost_fan), Verdict::kDefinite);
  for (unsigned i = 0; i < kFan; ++i) {
    ASSERT_EQ(judged.of(children[i * 4]), Verdict::kReachable) << i;
    ASSERT_EQ(judged.of(children[i * 4 + 3]), Verdict::kReachable) << i;
    ASSERT_EQ(judged.of(children[i * 4 + 1]), Verdict::kIndirect) << i;
    ASSERT_EQ(judged.of(children[i * 4 + 2]), Verdict::kIndirect) << i;
  }
  ASSERT_TRUE(judged.leaks_known);
  EXPECT_EQ(judged.leaks.at(lost_fan).indirect_blocks, 2 * kFan);
}

TEST_F(MarkTest, WhereThereIsNoMemoryForTheWeightsTheClassesAreSaid) {
  for (unsigned i = 0; i < 100; ++i) heap.block(16);
  const Judged judged(heap, {}, 200);
  ASSERT_EQ(judged.outcome, Outcome::kDone);
  EXPECT_FALSE(judged.leaks_known);
  for (const auto& [start, verdict] : judged.verdicts) EXPECT_EQ(verdict, Verdict::kDefinite);
}

TEST_F(MarkTest, WhereThereIsNoMemoryForTheStatesItIsSaid) {
  for (unsigned i = 0; i < 100; ++i) heap.block(16);
  EXPECT_EQ(Judged(heap, {}, 99).outcome, Outcome::kNoMemory);
}

TEST_F(MarkTest, AfterTheDeadlineThereIsNoVerdict) {
  heap.block(16);
  MarkOptions options;
  options.deadline.at_ns = 1;
  EXPECT_EQ(Judged(heap, options).outcome, Outcome::kOutOfTime);
  options.mode = MarkOptions::Mode::kSampled;
  EXPECT_EQ(Judged(heap, options).outcome, Outcome::kOutOfTime);
}

TEST_F(MarkTest, SampledOnlyWhatNoWordPointsIntoIsDefinite) {
  MarkOptions sampled;
  sampled.mode = MarkOptions::Mode::kSampled;
  const uint64_t held = heap.block(32), inside = heap.block(32), child = heap.block(32), head = heap.block(32),
                 empty = heap.block(8);
  heap.root(held);
  heap.root(inside + 31);
  heap.root(empty + 8);
  heap.write(head, child);  // Leaked in truth, both; only of one it can be proved.
  const Judged judged(heap, sampled);
  for (const uint64_t block : {held, inside, child, empty}) EXPECT_EQ(judged.of(block), Verdict::kLive);
  EXPECT_EQ(judged.of(head), Verdict::kDefinite);
}

TEST_F(MarkTest, LeaksComeInTheOrderOfTheirAddresses) {
  for (unsigned i = 0; i < 50; ++i) heap.block(16);
  heap.write(heap.blocks[20].start, heap.blocks[3].start);
  PrivateMemory memory;
  BlockIndex index(memory);
  ASSERT_TRUE(index.reserve(50));
  for (const auto& [start, size] : heap.blocks) ASSERT_TRUE(index.add(start, size, 1));
  ASSERT_EQ(index.build({}), Outcome::kDone);
  Marker marker(memory, index, {});
  ASSERT_EQ(marker.start(), Outcome::kDone);
  ASSERT_EQ(marker.finish(), Outcome::kDone);
  ASSERT_EQ(marker.leak_count(), 49u);
  for (uint32_t i = 1; i < 49; ++i) EXPECT_LT(marker.leaks()[i - 1].block, marker.leaks()[i].block);
}

}  // namespace
}  // namespace seep::leak_scan
