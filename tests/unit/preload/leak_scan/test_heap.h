// SPDX-License-Identifier: Apache-2.0
//
// For the tests of marking: real memory at real addresses in which a test lays blocks and roots as it likes.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "preload/leak_scan/mark.h"

namespace seep::leak_scan {

class TestHeap {
 public:
  struct Piece {
    uint64_t start;
    uint64_t size;
  };

  explicit TestHeap(uint64_t bytes = 1 << 20) : bytes_(bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    start_ = next_ = reinterpret_cast<uint64_t>(memory);
  }
  ~TestHeap() { munmap(reinterpret_cast<void*>(start_), bytes_); }
  TestHeap(const TestHeap&) = delete;
  TestHeap& operator=(const TestHeap&) = delete;

  // A new block behind the last, `gap` bytes after its end; its address.
  uint64_t block(uint64_t size, uint64_t gap = 16) {
    const uint64_t start = (next_ + 7) & ~uint64_t{7};
    if (start + size + gap > start_ + bytes_) abort();
    next_ = start + size + gap;
    blocks.push_back({start, size});
    return start;
  }
  static void write(uint64_t address, uint64_t word) { memcpy(reinterpret_cast<void*>(address), &word, sizeof word); }
  static uint64_t read(uint64_t address) {
    uint64_t word;
    memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
    return word;
  }
  void root(uint64_t word) { roots.push_back(word); }

  uint64_t start() const { return start_; }

  std::vector<Piece> blocks;    // By address.
  std::vector<uint64_t> roots;  // Lie in ordinary memory of the test.

 private:
  uint64_t bytes_;
  uint64_t start_;
  uint64_t next_;
};

// The verdict over a whole test heap.
struct Judged {
  explicit Judged(const TestHeap& heap, MarkOptions options = {}, uint64_t mark_memory_bytes = 0) {
    PrivateMemory memory, mark_memory(mark_memory_bytes);
    BlockIndex index(memory);
    EXPECT_TRUE(index.reserve(heap.blocks.size()));
    for (size_t i = heap.blocks.size(); i-- > 0;) {
      EXPECT_TRUE(index.add(heap.blocks[i].start, heap.blocks[i].size, 7));
    }
    EXPECT_EQ(index.build({}), Outcome::kDone);
    Marker marker(mark_memory, index, options);
    outcome = marker.start();
    if (outcome != Outcome::kDone) return;
    marker.add_roots(reinterpret_cast<uint64_t>(heap.roots.data()),
                     reinterpret_cast<uint64_t>(heap.roots.data() + heap.roots.size()));
    if (options.mode == MarkOptions::Mode::kSampled) {
      for (const auto& [start, size] : heap.blocks) marker.add_roots(start, start + size);
    }
    outcome = marker.finish();
    if (outcome != Outcome::kDone) return;
    for (uint32_t i = 0; i < index.count(); ++i) verdicts[index.block(i).start()] = marker.verdict(i);
    leaks_known = marker.leaks() != nullptr || marker.leak_count() == 0;
    for (uint32_t i = 0; leaks_known && i < marker.leak_count(); ++i) {
      leaks[index.block(marker.leaks()[i].block).start()] = marker.leaks()[i];
    }
  }

  Verdict of(uint64_t start) const { return verdicts.at(start); }

  Outcome outcome;
  bool leaks_known = false;
  std::map<uint64_t, Verdict> verdicts;  // By the block's start.
  std::map<uint64_t, Leak> leaks;        // By the definite block's start.
};

}  // namespace seep::leak_scan
