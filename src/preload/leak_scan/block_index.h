// SPDX-License-Identifier: Apache-2.0
//
// From a word to the block that it points into. All live blocks, sorted by address, and a table over the address space
// that says for each 256 bytes which block is the last to start before their end:
//
//     top_      one entry for 8 GiB, from the lowest block on    -> a span's entries
//     chunks_   one for 1 MiB: the last block that starts before its end, or, where more than a few start in it,
//     lines_    one for each 256 bytes of it: the last block that starts before their end
//     blocks_   16 bytes each; from there back, to the one that starts at or before the word
//
// Memory: 16 bytes a block, and 4 for 256 bytes of heap where blocks are small (64-byte blocks: 17 bytes a block). A
// block of many gigabytes costs 4 bytes a megabyte. The look-up is in steps (entry, guess, search), so that a caller
// with many words can ask for the memory of the next step ahead.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread. Must not allocate but
// through PrivateMemory; `build` needs 20 KiB of stack.
#pragma once

#include <cstdint>

#include "preload/clock.h"
#include "preload/private_memory.h"

namespace seep::leak_scan {

enum class Outcome : uint8_t { kDone, kOutOfTime, kNoMemory };

// Of CLOCK_MONOTONIC; 0: none.
struct Deadline {
  uint64_t at_ns = 0;
  [[nodiscard]] bool passed() const noexcept { return at_ns != 0 && monotonic_ns() >= at_ns; }
};

// Start and size have 48 bits: more than malloc returns on any processor unless it is asked to by an address.
class Block {
 public:
  static constexpr unsigned kAddressBits = 48;
  static constexpr uint64_t kAddressMask = (uint64_t{1} << kAddressBits) - 1;

  Block() = default;
  constexpr Block(uint64_t start, uint64_t size_bytes, uint32_t trace) noexcept
      : start_and_size_high_(start | (size_bytes >> 32) << kAddressBits),
        size_low_(static_cast<uint32_t>(size_bytes)),
        trace_(trace) {}

  [[nodiscard]] uint64_t start() const noexcept { return start_and_size_high_ & kAddressMask; }
  [[nodiscard]] uint64_t size_bytes() const noexcept {
    return (start_and_size_high_ >> kAddressBits) << 32 | size_low_;
  }
  [[nodiscard]] uint64_t end() const noexcept { return start() + size_bytes(); }
  // What a pointer may point at: a block of no bytes has its address, too.
  [[nodiscard]] uint64_t pointed_end() const noexcept { return start() + (size_bytes() == 0 ? 1 : size_bytes()); }
  [[nodiscard]] uint32_t trace() const noexcept { return trace_; }

 private:
  uint64_t start_and_size_high_;
  uint32_t size_low_;
  uint32_t trace_;
};
static_assert(sizeof(Block) == 16);

// In place, by start. Recursion goes at most eight deep. False: the deadline passed.
[[nodiscard]] bool sort_by_start(Block* blocks, uint64_t count, Deadline deadline) noexcept;

class BlockIndex {
 public:
  static constexpr uint32_t kMaxBlocks = (uint32_t{1} << 31) - 2;
  static constexpr uint32_t kNone = ~uint32_t{0};

  explicit BlockIndex(PrivateMemory& memory) noexcept : memory_(memory) {}
  ~BlockIndex();
  BlockIndex(const BlockIndex&) = delete;
  BlockIndex& operator=(const BlockIndex&) = delete;

  // Once, before the first `add`. False: no memory, or more than kMaxBlocks.
  [[nodiscard]] bool reserve(uint64_t blocks) noexcept;
  // In any order. False: there is no room, or a number does not fit (see Block); the block is not looked for then.
  [[nodiscard]] bool add(uint64_t start, uint64_t size_bytes, uint32_t trace) noexcept;
  // Once, after the last `add`: numbers the blocks in the order of their addresses.
  [[nodiscard]] Outcome build(Deadline deadline) noexcept;

  [[nodiscard]] uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const Block& block(uint32_t number) const noexcept { return blocks_[number]; }
  // Of two blocks that overlap (the free of one was missed) a word in both belongs to the one that starts last.
  [[nodiscard]] uint32_t overlapping() const noexcept { return overlapping_; }

  // Words in [low, low + span) may point at a block or right behind one; no other word does.
  [[nodiscard]] uint64_t low() const noexcept { return low_; }
  [[nodiscard]] uint64_t span() const noexcept { return span_; }

  // For a word in the span: where its entry is; a block's number + 1, or 0 where no block is near.
  [[nodiscard]] const uint32_t* entry(uint64_t word) const noexcept;
  // The last block that starts at or before `word`, from what stands in the entry, less 1.
  [[nodiscard]] uint32_t search(uint32_t guess, uint64_t word) const noexcept {
    while (blocks_[guess].start() > word) --guess;  // Ends at block 0: no word of the span lies before it.
    return guess;
  }
  // The block that any word points into, or kNone.
  [[nodiscard]] uint32_t find(uint64_t word) const noexcept;

 private:
  static constexpr unsigned kLineBits = 8, kChunkBits = 20, kSpanBits = 33;
  static constexpr uint64_t kLinesPerChunk = uint64_t{1} << (kChunkBits - kLineBits);
  static constexpr uint64_t kChunksPerSpan = uint64_t{1} << (kSpanBits - kChunkBits);
  static constexpr uint32_t kHasLines = uint32_t{1} << 31;
  static constexpr uint32_t kFewBlocks = 12;

  [[nodiscard]] uint64_t chunk_of(uint64_t address) const noexcept { return (address - base_) >> kChunkBits; }
  template <typename T>
  [[nodiscard]] bool take(T*& array, uint64_t count, uint64_t& taken_bytes) noexcept;
  template <typename T>
  void give_back(T* array, uint64_t bytes) noexcept;
  template <typename Visit>
  [[nodiscard]] bool each_chunk(Deadline deadline, Visit visit) const noexcept;
  void find_span() noexcept;
  [[nodiscard]] Outcome fill(Deadline deadline) noexcept;
  void fill_chunk(uint64_t chunk, uint32_t first, uint32_t last) noexcept;
  void fill_lines(uint64_t chunk, uint32_t* lines, uint32_t first, uint32_t last) noexcept;
  [[nodiscard]] uint32_t& chunk_entry(uint64_t chunk) noexcept;

  PrivateMemory& memory_;
  Block* blocks_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t count_ = 0;
  uint32_t overlapping_ = 0;
  uint64_t low_ = 0;
  uint64_t span_ = 0;
  uint64_t base_ = 0;  // Where the first span of 8 GiB begins.
  uint32_t* top_ = nullptr;
  uint32_t* chunks_ = nullptr;  // Those of span 0 are all 0: nothing is there.
  uint32_t* lines_ = nullptr;
  uint32_t spans_used_ = 0;
  uint32_t lines_used_ = 0;
  uint64_t blocks_bytes_ = 0, top_bytes_ = 0, chunks_bytes_ = 0, lines_bytes_ = 0;
};

inline const uint32_t* BlockIndex::entry(uint64_t word) const noexcept {
  const uint64_t offset = word - base_;
  const uint64_t span = top_[offset >> kSpanBits];
  const uint32_t* chunk = &chunks_[span * kChunksPerSpan + (offset >> kChunkBits) % kChunksPerSpan];
  if ((*chunk & kHasLines) == 0) return chunk;
  return &lines_[(*chunk & ~kHasLines) * kLinesPerChunk + (offset >> kLineBits) % kLinesPerChunk];
}

}  // namespace seep::leak_scan
