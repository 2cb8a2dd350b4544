// SPDX-License-Identifier: Apache-2.0
//
// The set of heap pages: against a set of numbers, with memory that is given back to the kernel, with threads.
#include "preload/leak_scan/heap_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace seep::leak_scan {
namespace {

constexpr uint64_t kPage = 4096;

class HeapPagesTest : public testing::Test {
 protected:
  PrivateMemory memory;
  HeapPages pages{memory};
};

TEST_F(HeapPagesTest, KnowsNoPageBeforeABlockIsAdded) {
  uintptr_t until = 0x7F0000000000;
  EXPECT_FALSE(pages.contains(0x1000, until));
  EXPECT_EQ(until, 0x7F0000000000u);
  pages.forget(0x1000, 1 << 20);
  EXPECT_EQ(memory.used_bytes(), 0u);
}

TEST_F(HeapPagesTest, ABlockHasEachPageThatItTouches) {
  pages.add(0x10FF8, 16);  // Across a border.
  pages.add(0x20000, 0);   // Malloc gives an address for no bytes, too.
  pages.add(0x30000, kPage);
  for (const uintptr_t page : {0x10000, 0x11000, 0x20000, 0x30000}) EXPECT_TRUE(pages.contains(page)) << page;
  for (const uintptr_t page : {0xF000, 0x12000, 0x1F000, 0x21000, 0x2F000, 0x31000}) {
    EXPECT_FALSE(pages.contains(page)) << page;
  }
}

TEST_F(HeapPagesTest, AddressesBeyondWhatTheKernelGivesAreNotHeap) {
  pages.add(uintptr_t{1} << 47, 100);
  pages.add((uintptr_t{1} << 47) - kPage, 2 * kPage);
  EXPECT_FALSE(pages.contains(uintptr_t{1} << 47));
  EXPECT_TRUE(pages.contains((uintptr_t{1} << 47) - 1));
  pages.forget(0, ~uintptr_t{0});
  EXPECT_FALSE(pages.contains((uintptr_t{1} << 47) - 1));
}

// Around a border of the leaves, of 4 GiB.
TEST_F(HeapPagesTest, BehavesAsASetOfPages) {
  std::set<uint64_t> truth;
  std::mt19937_64 random(5);
  constexpr uint64_t kFirst = (uint64_t{7} << 20) - 1000, kPages = 2000;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t first = kFirst + random() % kPages;
    const uint64_t count = 1 + random() % (random() % 8 == 0 ? 300 : 3);
    const uint64_t inset = random() % kPage;
    if (random() % 2 == 0) {
      pages.add(first * kPage + inset, count * kPage - inset);
      for (uint64_t page = first; page < first + count; ++page) truth.insert(page);
    } else {
      pages.forget(first * kPage, count * kPage);
      for (uint64_t page = first; page < first + count; ++page) truth.erase(page);
    }
    const uint64_t asked = kFirst + random() % kPages;
    uint64_t until = (kFirst + kPages) * kPage, end = asked + 1;
    ASSERT_EQ(pages.contains(asked * kPage, until), truth.count(asked) == 1);
    while (end < kFirst + kPages && truth.count(end) == truth.count(asked)) ++end;
    ASSERT_EQ(until, end * kPage);
  }
}

TEST_F(HeapPagesTest, ALargeBlockThatStaysMappedStaysHeap) {
  constexpr size_t kBytes = 1 << 20;
  char* block = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const auto start = reinterpret_cast<uintptr_t>(block);
  pages.add(start + 16, kBytes - 16);
  pages.note_freed(start + 16, kBytes - 16);
  EXPECT_TRUE(pages.contains(start));
  EXPECT_TRUE(pages.contains(start + kBytes - 1));
  ASSERT_EQ(munmap(block, kBytes), 0);
  pages.note_freed(start + 16, kBytes - 16);
  uintptr_t until = start + kBytes;
  EXPECT_FALSE(pages.contains(start, until));
  EXPECT_EQ(until, start + kBytes);
}

TEST_F(HeapPagesTest, OfABlockWhoseEndIsGivenBackTheRestStaysHeap) {
  constexpr size_t kBytes = 100 * kPage, kKept = 37 * kPage;
  char* block = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const auto start = reinterpret_cast<uintptr_t>(block);
  pages.add(start, kBytes);
  ASSERT_EQ(munmap(block + kKept, kBytes - kKept), 0);
  pages.note_freed(start, kBytes);
  uintptr_t until = start + kBytes;
  EXPECT_TRUE(pages.contains(start, until));
  EXPECT_EQ(until, start + kKept);
  munmap(block, kKept);
}

TEST_F(HeapPagesTest, WithoutMemoryPagesStayRoots) {
  PrivateMemory little(300 << 10);  // The root, and no leaf.
  HeapPages poor(little);
  poor.add(0x10000, 16);
  poor.add(0x7F0000000000, 16);
  EXPECT_FALSE(poor.contains(0x10000) && poor.contains(0x7F0000000000));
}

TEST_F(HeapPagesTest, ThreadsDoNotLoseEachOthersPages) {
  constexpr unsigned kThreads = 4, kEach = 50'000;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (uint64_t i = 0; i < kEach; ++i) pages.add((i * kThreads + t) * kPage, 100);
      for (uint64_t i = 0; i < kEach; i += 2) pages.forget((i * kThreads + t) * kPage, kPage);
    });
  }
  for (auto& thread : threads) thread.join();
  for (uint64_t i = 0; i < kThreads * kEach; ++i) ASSERT_EQ(pages.contains(i * kPage), i / kThreads % 2 == 1) << i;
}

TEST_F(HeapPagesTest, PrintsWhatABlockCostsWhosePageIsKnown) {
  constexpr uint64_t kBlocks = 1 << 20;
  for (uint64_t i = 0; i < kBlocks; ++i) pages.add(0x500000000000 + i * 64, 64);
  const auto begin = std::chrono::steady_clock::now();
  for (int round = 0; round < 16; ++round) {
    for (uint64_t i = 0; i < kBlocks; ++i) pages.add(0x500000000000 + i * 64, 64);
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  std::printf("heap pages: %.2f ns a block\n", took.count() / 16 / kBlocks);
  EXPECT_TRUE(pages.contains(0x500000000000 + kBlocks * 64 - 1));
}

}  // namespace
}  // namespace seep::leak_scan
