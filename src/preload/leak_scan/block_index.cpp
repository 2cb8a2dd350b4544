// SPDX-License-Identifier: Apache-2.0
//
// Sorting the blocks, and the table over them; see block_index.h.
#include "preload/leak_scan/block_index.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace seep::leak_scan {
namespace {

constexpr uint64_t kCheckClockFrom = 1 << 16;  // Blocks: some hundred microseconds.

void sort_few(Block* blocks, uint64_t count) noexcept {
  for (uint64_t i = 1; i < count; ++i) {
    const Block held = blocks[i];
    uint64_t to = i;
    for (; to > 0 && blocks[to - 1].start() > held.start(); --to) blocks[to] = blocks[to - 1];
    blocks[to] = held;
  }
}

// One step of a radix sort in place: the blocks in order of 256 intervals of their addresses.
class Buckets {
 public:
  static constexpr unsigned kBits = 8, kCount = 1 << kBits;

  Buckets(Block* blocks, uint64_t count, uint64_t low, unsigned shift) noexcept
      : blocks_(blocks), low_(low), shift_(shift) {
    for (uint64_t i = 0; i < count; ++i) ++end_[digit(blocks[i])];
    uint32_t sum = 0;
    for (unsigned i = 0; i < kCount; ++i) {
      next_[i] = sum;
      end_[i] = sum += end_[i];
    }
  }

  void distribute() noexcept {
    for (unsigned i = 0; i < kCount; ++i) {
      while (next_[i] < end_[i]) {
        const unsigned to = digit(blocks_[next_[i]]);
        if (to == i) ++next_[i];
        else std::swap(blocks_[next_[i]], blocks_[next_[to]++]);
      }
    }
  }

  [[nodiscard]] uint32_t begin(unsigned bucket) const noexcept { return bucket == 0 ? 0 : end_[bucket - 1]; }
  [[nodiscard]] uint32_t end(unsigned bucket) const noexcept { return end_[bucket]; }

 private:
  [[nodiscard]] unsigned digit(const Block& block) const noexcept {
    return static_cast<unsigned>((block.start() - low_) >> shift_);
  }

  Block* blocks_;
  uint64_t low_;
  unsigned shift_;
  uint32_t next_[kCount];
  uint32_t end_[kCount] = {};
};

}  // namespace

// The intervals are those of the addresses at hand, so that each step makes them smaller by 128 at least; hence the
// depth.
bool sort_by_start(Block* blocks, uint64_t count, Deadline deadline) noexcept {
  if (count <= 24) {
    sort_few(blocks, count);
    return true;
  }
  if (count >= kCheckClockFrom && deadline.passed()) return false;
  uint64_t low = blocks[0].start(), high = low;
  for (uint64_t i = 1; i < count; ++i) {
    low = std::min(low, blocks[i].start());
    high = std::max(high, blocks[i].start());
  }
  if (low == high) return true;
  const auto bits = static_cast<unsigned>(std::bit_width(high - low));
  const unsigned shift = bits > Buckets::kBits ? bits - Buckets::kBits : 0;
  Buckets buckets(blocks, count, low, shift);
  buckets.distribute();
  for (unsigned i = 0; shift > 0 && i < Buckets::kCount; ++i) {
    if (!sort_by_start(blocks + buckets.begin(i), buckets.end(i) - buckets.begin(i), deadline)) return false;
  }
  return true;
}

template <typename T>
bool BlockIndex::take(T*& array, uint64_t count, uint64_t& taken_bytes) noexcept {
  const uint64_t bytes = std::max<uint64_t>(count, 1) * sizeof(T);
  array = static_cast<T*>(memory_.take(bytes));
  if (array != nullptr) taken_bytes = bytes;
  return array != nullptr;
}

template <typename T>
void BlockIndex::give_back(T* array, uint64_t bytes) noexcept {
  if (array != nullptr) memory_.give_back(array, bytes);
}

BlockIndex::~BlockIndex() {
  give_back(blocks_, blocks_bytes_);
  give_back(top_, top_bytes_);
  give_back(chunks_, chunks_bytes_);
  give_back(lines_, lines_bytes_);
}

bool BlockIndex::reserve(uint64_t blocks) noexcept {
  if (blocks > kMaxBlocks || !take(blocks_, blocks, blocks_bytes_)) return false;
  capacity_ = static_cast<uint32_t>(blocks);
  return true;
}

bool BlockIndex::add(uint64_t start, uint64_t size_bytes, uint32_t trace) noexcept {
  if (count_ == capacity_ || start > Block::kAddressMask || size_bytes > Block::kAddressMask - start) return false;
  blocks_[count_++] = Block(start, size_bytes, trace);
  return true;
}

Outcome BlockIndex::build(Deadline deadline) noexcept {
  if (!sort_by_start(blocks_, count_, deadline)) return Outcome::kOutOfTime;
  return count_ == 0 ? Outcome::kDone : fill(deadline);
}

void BlockIndex::find_span() noexcept {
  low_ = blocks_[0].start();
  base_ = low_ & ~((uint64_t{1} << kChunkBits) - 1);
  uint64_t end = 0;
  for (uint32_t i = 0; i < count_; ++i) {
    if (i > 0 && blocks_[i].start() < end) ++overlapping_;
    end = std::max(end, blocks_[i].pointed_end());
  }
  span_ = end + 1 - low_;
}

// Calls visit(chunk, first, last) for each chunk with a block in it or right before it: [first, last) are the blocks
// that start in it, and where there is none, `last` - 1 is the one that reaches into it.
template <typename Visit>
bool BlockIndex::each_chunk(Deadline deadline, Visit visit) const noexcept {
  for (uint32_t i = 0; i < count_;) {
    const uint64_t chunk = chunk_of(blocks_[i].start());
    const uint32_t first = i;
    uint64_t end = 0;
    for (; i < count_ && chunk_of(blocks_[i].start()) == chunk; ++i) end = std::max(end, blocks_[i].pointed_end());
    visit(chunk, first, i);
    const uint64_t next = i < count_ ? chunk_of(blocks_[i].start()) : ~uint64_t{0};
    for (uint64_t reached = chunk + 1; reached <= chunk_of(end) && reached < next; ++reached) visit(reached, i, i);
    if (first / kCheckClockFrom != i / kCheckClockFrom && deadline.passed()) return false;
  }
  return true;
}

Outcome BlockIndex::fill(Deadline deadline) noexcept {
  find_span();
  uint64_t spans = 1, chunks_with_lines = 0, span = ~uint64_t{0};
  const bool counted = each_chunk(deadline, [&](uint64_t chunk, uint32_t first, uint32_t last) {
    if (chunk / kChunksPerSpan != span) ++spans;
    span = chunk / kChunksPerSpan;
    if (last - first > kFewBlocks) ++chunks_with_lines;
  });
  if (!counted) return Outcome::kOutOfTime;
  if (!take(top_, ((low_ + span_ - base_) >> kSpanBits) + 1, top_bytes_) ||
      !take(chunks_, spans * kChunksPerSpan, chunks_bytes_) ||
      !take(lines_, chunks_with_lines * kLinesPerChunk, lines_bytes_)) {
    return Outcome::kNoMemory;
  }
  spans_used_ = 1;
  const bool filled =
      each_chunk(deadline, [this](uint64_t chunk, uint32_t first, uint32_t last) { fill_chunk(chunk, first, last); });
  return filled ? Outcome::kDone : Outcome::kOutOfTime;
}

uint32_t& BlockIndex::chunk_entry(uint64_t chunk) noexcept {
  uint32_t& span = top_[chunk / kChunksPerSpan];
  if (span == 0) span = spans_used_++;
  return chunks_[span * kChunksPerSpan + chunk % kChunksPerSpan];
}

void BlockIndex::fill_chunk(uint64_t chunk, uint32_t first, uint32_t last) noexcept {
  uint32_t& entry = chunk_entry(chunk);
  entry = last;  // That is, block `last` - 1.
  if (last - first <= kFewBlocks) return;
  fill_lines(chunk, lines_ + lines_used_ * kLinesPerChunk, first, last);
  entry = kHasLines | lines_used_++;
}

void BlockIndex::fill_lines(uint64_t chunk, uint32_t* lines, uint32_t first, uint32_t last) noexcept {
  const uint64_t start = base_ + (chunk << kChunkBits);
  uint32_t next = first;
  for (uint64_t line = 0; line < kLinesPerChunk; ++line) {
    const uint64_t line_end = start + ((line + 1) << kLineBits);
    while (next < last && blocks_[next].start() < line_end) ++next;
    lines[line] = next;
  }
}

uint32_t BlockIndex::find(uint64_t word) const noexcept {
  if (word - low_ >= span_) return kNone;
  const uint32_t guess = *entry(word);
  if (guess == 0) return kNone;
  const uint32_t found = search(guess - 1, word);
  return word < blocks_[found].pointed_end() ? found : kNone;
}

}  // namespace seep::leak_scan
