// SPDX-License-Identifier: Apache-2.0
//
// The truth about a walk is the list of words that it read: the cache may say a trace only where each of them is as it
// was. Stacks are arrays here, walks lists of places in them.
#include "preload/unwind/trace_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace seep {
namespace {

constexpr uint32_t kOwner = 1;
constexpr uint32_t kGeneration = 5;
constexpr auto kNobodyIsGone = [](uint32_t) { return false; };

// Of code or of a stack: 48 bits.
uint64_t random_address(std::mt19937_64& random) { return random() >> 16; }

// A stack of so many words, of which walks read some.
struct Stack {
  explicit Stack(size_t words = 400) : word(words) {}

  WalkStart start(uintptr_t pc = 0x401000, size_t sp_word = 0) const {
    return {pc, reinterpret_cast<uintptr_t>(word.data() + sp_word), 0x77,
            reinterpret_cast<uintptr_t>(word.data() + word.size()), kGeneration};
  }
  // What a walk that reads these places (in words from the stack pointer) goes by now.
  WalkedWords walk(const WalkStart& start, const std::vector<size_t>& places) const {
    WalkedWords words;
    words.start(start.pc, start.sp, start.frame_pointer);
    for (const size_t place : places) {
      const uintptr_t address = start.sp + place * sizeof(uint64_t);
      words.add(address, *reinterpret_cast<const uint64_t*>(address));
    }
    EXPECT_TRUE(words.usable);
    return words;
  }

  std::vector<uint64_t> word;
};

std::vector<size_t> every(size_t step, size_t count) {
  std::vector<size_t> places;
  for (size_t i = 0; i < count; ++i) places.push_back(i * step);
  return places;
}

class TraceCacheTest : public testing::Test {
 protected:
  void insert(const WalkStart& start, const WalkedWords& words, Ref trace) {
    cache->insert(start, words, {trace * uint64_t{100}, nullptr, 1, trace}, kOwner, kNobodyIsGone);
  }
  Ref find(const WalkStart& start) const {
    TraceCache::Trace found;
    return cache->find(start, found) ? found.trace : 0;
  }

  PrivateMemory memory;
  std::unique_ptr<TraceCache> cache = std::make_unique<TraceCache>(memory);
};

TEST_F(TraceCacheTest, WhatWasPutInIsFoundWhileEachWordIsAsItWas) {
  for (const size_t count : {1u, 3u, 4u, 5u, 8u, 9u, 16u, 17u, 40u, 128u}) {
    SCOPED_TRACE(count);
    Stack stack;
    const WalkStart start = stack.start(0x1000 + count);
    const auto places = every(3, count);
    for (const size_t place : places) stack.word[place] = 0x5000 + place;
    EXPECT_EQ(find(start), 0u);
    insert(start, stack.walk(start, places), 7);
    EXPECT_EQ(find(start), 7u);
    stack.word[1] = 99;  // One that no walk reads.
    EXPECT_EQ(find(start), 7u);
    for (const size_t place : places) {
      for (const unsigned bit : {0u, 47u, 48u, 63u}) {
        stack.word[place] ^= uint64_t{1} << bit;
        EXPECT_EQ(find(start), 0u) << place << ", bit " << bit;
        stack.word[place] ^= uint64_t{1} << bit;
      }
    }
    EXPECT_EQ(find(start), 7u);
  }
}

TEST_F(TraceCacheTest, RegistersAndGenerationMustBeTheSame) {
  Stack stack;
  const WalkStart start = stack.start();
  WalkedWords words = stack.walk(start, every(2, 10));
  words.goes_by_start = true;
  insert(start, words, 3);
  EXPECT_EQ(find(start), 3u);
  WalkStart other = start;
  other.pc += 4;
  EXPECT_EQ(find(other), 0u);
  other = start;
  other.sp += 8;
  EXPECT_EQ(find(other), 0u);
  other = start;
  other.frame_pointer += 8;
  EXPECT_EQ(find(other), 0u) << "the walk went by it";
  other = start;
  ++other.generation;
  EXPECT_EQ(find(other), 0u);
}

TEST_F(TraceCacheTest, AFramePointerThatNoFrameIsFoundByDoesNotMatter) {
  Stack stack;
  WalkStart start = stack.start();
  insert(start, stack.walk(start, every(2, 10)), 3);
  start.frame_pointer = 12345;
  EXPECT_EQ(find(start), 3u);
}

// A stack that ends before the last word: nothing may be read there.
TEST_F(TraceCacheTest, NothingIsReadBehindTheEndOfTheStack) {
  Stack stack(100);
  WalkStart start = stack.start();
  insert(start, stack.walk(start, every(3, 30)), 3);
  EXPECT_EQ(find(start), 3u);
  start.stack_end = start.sp + 87 * sizeof(uint64_t);
  EXPECT_EQ(find(start), 0u);
  start.stack_end += sizeof(uint64_t);
  EXPECT_EQ(find(start), 3u);
}

TEST_F(TraceCacheTest, WithNewCountersForAnotherThreadTheNewOnesAreFound) {
  Stack stack;
  const WalkStart start = stack.start();
  const WalkedWords words = stack.walk(start, every(2, 20));
  cache->insert(start, words, {1, nullptr, 1, 3}, kOwner, kNobodyIsGone);
  cache->insert(start, words, {1, nullptr, 2, 3}, kOwner, kNobodyIsGone);
  TraceCache::Trace found;
  ASSERT_TRUE(cache->find(start, found));
  EXPECT_EQ(found.thread, 2u);
}

TEST_F(TraceCacheTest, WhatIsClearedIsGone) {
  Stack stack;
  const WalkStart start = stack.start();
  insert(start, stack.walk(start, every(2, 20)), 3);
  cache->clear();
  EXPECT_EQ(find(start), 0u);
  insert(start, stack.walk(start, every(2, 20)), 4);
  EXPECT_EQ(find(start), 4u);
}

TEST_F(TraceCacheTest, OneWritesAtATimeUnlessTheOtherIsGone) {
  Stack stack;
  const WalkStart start = stack.start();
  const WalkedWords words = stack.walk(start, every(2, 20));
  // Asked while 2 writes: of who is gone nobody is asked, so that it is seen from inside.
  cache->insert(start, words, {0, nullptr, 1, 3}, 2, kNobodyIsGone);
  EXPECT_EQ(find(start), 3u);
}

// Walks of many lengths over stacks that are alike in part, as a program's are: whatever is said is right, and most of
// what was put in is found again.
TEST_F(TraceCacheTest, AmongManyThatAreAlikeItIsNeverTheWrongOne) {
  struct Known {
    WalkStart start;
    std::vector<size_t> places;
    std::vector<uint64_t> words;
  };
  std::mt19937_64 random(3);
  Stack stack(3000);
  std::vector<Known> known(1);
  uint64_t found_right = 0, looked = 0, lost = 0;
  for (int step = 0; step < 60'000; ++step) {
    // A stack of frames: where each lies follows from the words before it, as in a real walk.
    const size_t sp_word = random() % 3 * 8;
    const WalkStart start = stack.start(0x1000 + random() % 2, sp_word);
    std::vector<size_t> places;
    std::mt19937_64 shape(start.pc * 31 + sp_word);
    for (size_t place = 1 + shape() % 4, depth = 4 + random() % 3 * 9; places.size() < depth;) {
      places.push_back(place);
      const uint64_t word = 0x5000 + random() % (random() % 4 == 0 ? 3 : 1);
      stack.word[sp_word + place] = word;
      shape.seed(word * 1000003 + place);
      place += 1 + shape() % 60;
    }
    stack.word[sp_word + places.back()] = 0;  // The outermost.
    ++looked;
    const Ref said = find(start);
    if (said != 0) {
      const Known& it = known[said];
      ASSERT_EQ(it.start.pc, start.pc);
      ASSERT_EQ(it.start.sp, start.sp);
      ASSERT_EQ(it.places, places);
      for (size_t i = 0; i < places.size(); ++i) ASSERT_EQ(it.words[i], stack.word[sp_word + places[i]]);
      ++found_right;
      continue;
    }
    Known now{start, places, {}};
    for (const size_t place : places) now.words.push_back(stack.word[sp_word + place]);
    known.push_back(now);
    insert(start, stack.walk(start, places), static_cast<Ref>(known.size() - 1));
    lost += find(start) != known.size() - 1;
  }
  EXPECT_GT(found_right, looked / 4);
  EXPECT_LT(lost, known.size() / 1000) << "by what else is in its bucket, which is rare";
}

// The ring is written over several times; nothing is said that is not so.
TEST_F(TraceCacheTest, WhatIsWrittenOverIsNotFound) {
  Stack stack(600);
  std::mt19937_64 random(1);
  const auto places = every(4, 100);
  std::vector<std::vector<uint64_t>> known(1);
  for (Ref trace = 1; trace < 8'000; ++trace) {
    for (const size_t place : places) stack.word[place] = random_address(random);
    const WalkStart start = stack.start(0x1000);
    known.push_back(stack.word);
    insert(start, stack.walk(start, places), trace);
    const Ref older = static_cast<Ref>(1 + random() % trace);
    stack.word = known[older];
    const Ref said = find(start);
    EXPECT_TRUE(said == 0 || said == older) << said;
  }
}

// Threads look up and write at once, each with a stack of its own: what a thread is told is what it put in.
TEST_F(TraceCacheTest, ThreadsAreToldOfTheirOwnStacks) {
  constexpr unsigned kThreads = 4;
  constexpr int kTold = 10'000, kMostSteps = 100 * kTold;
  std::vector<std::thread> threads;
  std::atomic<unsigned> wrong{0}, done{0};
  for (unsigned number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      std::mt19937_64 random(number);
      Stack stack(300);
      const auto places = every(5, 40);
      int told = 0;
      for (int step = 0; step < kMostSteps && told < kTold; ++step) {
        const uint64_t variant = random() % 60;
        for (const size_t place : places) {
          stack.word[place] = uint64_t{number} << 32 | (place < 50 ? variant : place);
        }
        const WalkStart start = stack.start(0x1000 + variant % 3);
        const Ref trace = static_cast<Ref>(1 + number * 1000 + variant);
        TraceCache::Trace found;
        if (cache->find(start, found)) {
          wrong += found.trace != trace;
          ++told;
          continue;
        }
        cache->insert(start, stack.walk(start, places), {0, nullptr, 1, trace}, number + 1, kNobodyIsGone);
        std::this_thread::yield();  // Perhaps another was writing.
      }
      done += told == kTold;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_EQ(done.load(), kThreads);
}

}  // namespace
}  // namespace seep
