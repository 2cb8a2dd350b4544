// SPDX-License-Identifier: Apache-2.0
#include "preload/leak_scan/heuristics.h"

#include <link.h>

#include <cstring>

#include "test_heap.h"

namespace seep::leak_scan {
namespace {

struct HeuristicsTest : testing::Test {
  TestHeap heap;

  Verdict judged(uint64_t block, uint8_t enabled, const MappedFiles& files = {}) const {
    MarkOptions options;
    options.heuristics = enabled;
    options.files = files;
    return Judged(heap, options).of(block);
  }
  // Reachable by this heuristic, and by all, and possible by all others together.
  void expect_only_by(uint8_t heuristic, uint64_t block, const MappedFiles& files = {}) const {
    EXPECT_EQ(judged(block, heuristic, files), Verdict::kReachable);
    EXPECT_EQ(judged(block, kAllHeuristics, files), Verdict::kReachable);
    EXPECT_EQ(judged(block, static_cast<uint8_t>(kAllHeuristics & ~heuristic), files), Verdict::kPossible);
  }
  void expect_by_none(uint64_t block, const MappedFiles& files = {}) const {
    EXPECT_EQ(judged(block, kAllHeuristics, files), Verdict::kPossible);
  }
};

// libstdc++'s std::string before C++11: length, capacity, references, and the text, where the pointer points.
TEST_F(HeuristicsTest, StdString) {
  const uint64_t text = heap.block(24 + 11 + 1);
  heap.write(text, 5);
  heap.write(text + 8, 11);
  heap.root(text + 24);
  expect_only_by(kStdString, text);
  heap.write(text, 12);
  expect_by_none(text);  // Longer than its capacity.
  heap.write(text, 5);
  heap.write(text + 8, 10);
  expect_by_none(text);  // Not the size of the block.
}

TEST_F(HeuristicsTest, Length64) {
  const uint64_t data = heap.block(8 + 23);
  heap.write(data, 23);
  heap.root(data + 8);
  EXPECT_EQ(judged(data, kLength64), Verdict::kReachable);
  EXPECT_EQ(judged(data, kAllHeuristics & ~(kLength64 | kNewArray)), Verdict::kPossible);
  heap.write(data, 22);
  EXPECT_EQ(judged(data, kLength64), Verdict::kPossible);
}

TEST_F(HeuristicsTest, NewArray) {
  const uint64_t array = heap.block(8 + 5 * 12);
  heap.write(array, 5);
  heap.root(array + 8);
  expect_only_by(kNewArray, array);
  heap.write(array, 7);
  expect_by_none(array);  // 60 bytes are not 7 elements.
  heap.write(array, 0);
  expect_by_none(array);
}

// The compiler itself lays the arrays into our blocks: with a count before them, as their elements have a destructor.
template <size_t kAlignment>
struct alignas(kAlignment) Element {
  ~Element() { value = 0; }
  static void* operator new[](size_t, TestHeap::Piece at) { return reinterpret_cast<void*>(at.start); }
  static void operator delete[](void*, TestHeap::Piece) {}
  volatile int value;
};

TEST_F(HeuristicsTest, NewArrayOfTheCompiler) {
  const uint64_t block = heap.block(8 + 7 * sizeof(Element<4>));
  auto* elements = new (TestHeap::Piece{block, 0}) Element<4>[7];
  ASSERT_EQ(reinterpret_cast<uint64_t>(elements), block + 8);
  heap.root(reinterpret_cast<uint64_t>(elements));
  expect_only_by(kNewArray, block);
}

TEST_F(HeuristicsTest, EmptyArraysOfTheCompiler) {
  const uint64_t block = heap.block(8), aligned = (heap.block(32) + 15) & ~uint64_t{15};
  heap.blocks.back() = {aligned, 16};
  auto* elements = new (TestHeap::Piece{block, 0}) Element<4>[0];
  auto* aligned_elements = new (TestHeap::Piece{aligned, 0}) Element<16>[0];
  ASSERT_EQ(reinterpret_cast<uint64_t>(elements), block + 8);
  ASSERT_EQ(reinterpret_cast<uint64_t>(aligned_elements), aligned + 16);
  heap.root(reinterpret_cast<uint64_t>(elements));
  heap.root(reinterpret_cast<uint64_t>(aligned_elements));
  EXPECT_EQ(judged(block, kNoHeuristic), Verdict::kReachable);
  EXPECT_EQ(judged(aligned, kNoHeuristic), Verdict::kReachable);
}

struct OneBase {
  virtual ~OneBase() = default;
  virtual int one() const { return 1; }
  long padding = 0;
};
struct OtherBase {
  virtual ~OtherBase() = default;
  virtual int other() const { return 2; }
  long padding = 0;
};
struct Derived : OneBase, OtherBase {
  int one() const override { return 3; }
  int other() const override { return 4; }
};

// The segments of what is loaded, as the dynamic loader tells them.
uintptr_t segment_end(uintptr_t address, unsigned flag) {
  struct Search {
    uintptr_t address, end;
    unsigned flag;
  } search{address, 0, flag};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* data) {
        auto& wanted = *static_cast<Search*>(data);
        for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const uintptr_t start = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type != PT_LOAD || (segment.p_flags & wanted.flag) == 0) continue;
          if (wanted.address >= start && wanted.address < start + segment.p_memsz) wanted.end = start + segment.p_memsz;
        }
        return 0;
      },
      &search);
  return search.end;
}
const MappedFiles kModules{nullptr, [](const void*, uintptr_t address) { return segment_end(address, PF_R); },
                           [](const void*, uintptr_t address) { return segment_end(address, PF_X) != 0; }};

TEST_F(HeuristicsTest, MultipleInheritance) {
  const uint64_t block = heap.block(sizeof(Derived));
  auto* derived = new (reinterpret_cast<void*>(block)) Derived;
  OtherBase* other = derived;
  ASSERT_GT(reinterpret_cast<uint64_t>(other), block);
  heap.root(reinterpret_cast<uint64_t>(other));
  expect_only_by(kMultipleInheritance, block, kModules);
  expect_by_none(block);  // Nothing is known of files.
  heap.roots[0] += 8;
  expect_by_none(block, kModules);  // Not where the vtable of the other base is.
  derived->~Derived();
}

TEST_F(HeuristicsTest, WhatIsNoVtable) {
  const uint64_t block = heap.block(32), table = heap.block(64);
  heap.root(table);
  heap.root(block + 16);
  heap.write(block, table);
  heap.write(block + 16, table);
  expect_by_none(block, kModules);  // A table, but in no file.
  heap.write(block, 8);
  heap.write(block + 16, 16);
  expect_by_none(block, kModules);  // Small numbers.
  static const uintptr_t not_functions[4] = {1, 2, 3, 4};
  heap.write(block, reinterpret_cast<uint64_t>(not_functions));
  heap.write(block + 16, reinterpret_cast<uint64_t>(not_functions));
  expect_by_none(block, kModules);  // In a file, but not of code.
}

// A block that is partly unreadable, and whose head is.
TEST_F(HeuristicsTest, AHeadThatCannotBeReadSaysNothing) {
  const uint64_t array = heap.block(8 + 5 * 12);
  heap.write(array, 5);
  heap.root(array + 8);
  MarkOptions options;
  const MarkOptions::Range behind_the_head{array + 8, array + 4096};
  options.readable = &behind_the_head;
  options.readable_count = 1;
  EXPECT_EQ(Judged(heap, options).of(array), Verdict::kPossible);
  const MarkOptions::Range all{array, array + 4096};
  options.readable = &all;
  EXPECT_EQ(Judged(heap, options).of(array), Verdict::kReachable);
}

}  // namespace
}  // namespace seep::leak_scan
