// SPDX-License-Identifier: Apache-2.0
//
// Blocks that a realloc is moving, as a scan finds them: in this thread, by what a hook would have left on its stack.
#include "preload/leak_scan/moving_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <utility>

#include "preload/recorder.h"
#include "preload/recording.h"

namespace seep::leak_scan {
namespace {

constexpr uintptr_t kOld = 0x500000, kOlder = 0x600000;

class MovingBlocksTest : public testing::Test {
 protected:
  using Found = std::set<std::pair<uint64_t, uint64_t>>;

  // What is found while a realloc moves the block, which had so many bytes; `inside` runs within the realloc.
  template <typename Inside>
  [[gnu::noinline]] void move(uintptr_t block, uint64_t bytes, uint64_t new_bytes, Inside inside) {
    MovingBlock moving(reinterpret_cast<const void*>(block), new_bytes);
    moving.record.entry.size_bytes = bytes;
    inside();
  }
  // As a scan sees this thread, with its stack pointer there.
  [[gnu::noinline]] Found find(int64_t sp_offset = 0, uint64_t pointer = thread_pointer(),
                               StopState state = StopState::kStopped) {
    threads.clear();
    StoppedThread& thread = *threads.add(1);
    thread.sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) + static_cast<uint64_t>(sp_offset);
    thread.thread_pointer = pointer;
    thread.state = state;
    if (word_at_hand != 0) thread.words[thread.word_count++] = word_at_hand;
    GrowingArray<Range> ranges(memory);
    EXPECT_TRUE(find_moving_blocks(threads, true, ranges));
    Found found;
    for (const Range& range : ranges) found.insert({range.start, range.end});
    return found;
  }

  PrivateMemory memory;
  StoppedThreads threads{memory};
  uint64_t word_at_hand = 0;
};

TEST_F(MovingBlocksTest, WithoutAReallocThereIsNone) {
  EXPECT_TRUE(find().empty());
  move(kOld, 100, 200, [] {});
  EXPECT_TRUE(find().empty());
}

TEST_F(MovingBlocksTest, TheOldPlaceIsFoundByTheLengthThatItHad) {
  move(kOld, 100, 200, [&] { EXPECT_EQ(find(), (Found{{kOld, kOld + 100}})); });
}

// A handler that interrupted a realloc moves a block itself.
TEST_F(MovingBlocksTest, EachThatIsUnderWayIsFound) {
  move(kOlder, 10, 20, [&] {
    move(kOld, 100, 200, [&] { EXPECT_EQ(find(), (Found{{kOld, kOld + 100}, {kOlder, kOlder + 10}})); });
    EXPECT_EQ(find(), (Found{{kOlder, kOlder + 10}}));
  });
}

// Not taken out yet, or put back: it is searched as a live block.
TEST_F(MovingBlocksTest, WhatIsInTheLiveTableIsNotMoving) {
  LiveEntry entry{100, 0, 1, 0};
  recording.live.set_first_buckets_log2(2);
  ASSERT_EQ(recording.live.insert(kOld, entry, entry), LiveTable::Insert::kDone);
  move(kOld, 100, 200, [&] {
    EXPECT_TRUE(find().empty());
    ASSERT_TRUE(recording.live.remove(kOld, entry));
    EXPECT_EQ(find().size(), 1u);
  });
}

TEST_F(MovingBlocksTest, AReallocThatAHandlerHasJumpedOutOfIsOver) {
  move(kOld, 100, 200, [&] {
    EXPECT_TRUE(find(1 << 20).empty()) << "the stack pointer is above it";
    EXPECT_EQ(find(int64_t{1} << 30).size(), 1u) << "a handler on another stack";
    EXPECT_EQ(find(-(int64_t{1} << 30)).size(), 1u) << "the same";
  });
}

TEST_F(MovingBlocksTest, OnlyThreadsThatStandStillAreLookedInto) {
  move(kOld, 100, 200, [&] {
    EXPECT_EQ(find(0, thread_pointer(), StopState::kItself).size(), 1u);
    EXPECT_TRUE(find(0, thread_pointer(), StopState::kMissed).empty());
    EXPECT_TRUE(find(0, thread_pointer(), StopState::kGone).empty());
    EXPECT_TRUE(find(0, 0).empty()) << "one that libc has not made";
    EXPECT_TRUE(find(0, 0x1000).empty()) << "memory that is not there";
  });
}

// In registers, or on the stack. It is told by its size, which glibc's malloc keeps before it.
TEST_F(MovingBlocksTest, TheNewPlaceIsFoundAmongTheWordsAtHand) {
  alignas(16) static uint64_t heap[64] = {};
  const auto place = reinterpret_cast<uint64_t>(heap + 2);
  recording.heap_pages.add(place, 8);
  word_at_hand = place;
  const std::pair<uint64_t, uint64_t> old{kOld, kOld + 100}, other{place, place + 200};
  move(kOld, 100, 200, [&] {
    heap[1] = 208 | 1;
    EXPECT_EQ(find(), (Found{old, other}));
    heap[1] = 192 | 1;
    EXPECT_EQ(find(), (Found{old})) << "it is too small";
    heap[1] = 4096 | 1;
    EXPECT_EQ(find(), (Found{old})) << "it is much larger";
  });
  recording.heap_pages.forget(place, sizeof heap);
}

}  // namespace
}  // namespace seep::leak_scan
