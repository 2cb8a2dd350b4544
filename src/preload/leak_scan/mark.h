// SPDX-License-Identifier: Apache-2.0
//
// What is leaked: which blocks the roots lead to, and how the others hang together.
//
// Exact mode: every live block is known. Classes are Valgrind's (memcheck, 4.2.8): a block is `reachable` when a chain
// of pointers to the starts of blocks leads from a root to it, `possible` when there are chains, but each has a pointer
// into the middle of a block somewhere; a heuristic may take such a pointer for one to the start. Of those that no
// chain leads to, every structure that no other of them points to (one block, or a ring) is one leak: its block of the
// lowest address is `definite`, all that hangs from it `indirect`, whichever way its pointers point. That of the lowest
// address, since it depends on nothing but the memory, and since Valgrind takes it for a ring, too. (Valgrind may also
// call a ring `definite` into which another leaked block points, depending on addresses; we never do.)
//
// This is found in three floods of linear time, without a depth-first order, so that it needs one byte a block and a
// stack that may fail to grow:
//   1. From the roots.
//   2. Of the rest, upwards: each block that has not been met starts a flood, and is a leader. Every structure that
//      nothing points to has one leader, its lowest block: all of it is met by the flood from there, if not before it.
//   3. Downwards over the leaders: one that has not been met by the flood of a leader above it is definite. (What leads
//      to a leader, and starts below it, would have met it in 2.) What its flood meets first is indirect, and counts
//      for it: a block that hangs from two definite ones counts once, with the one of the higher address.
//
// Sampled mode: only some blocks are known, so there are no chains. All memory is given as roots; a block is `definite`
// when no aligned word outside it points into it, and `live` otherwise.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread. A Marker has 6 KiB: not
// for a small stack. Must not recurse, write to the program's memory, or allocate but through PrivateMemory.
#pragma once

#include <cstdint>

#include "preload/leak_scan/block_index.h"
#include "preload/leak_scan/heuristics.h"
#include "preload/leak_scan/mark_stack.h"
#include "preload/leak_scan/ranges.h"
#include "preload/leak_scan/word_filter.h"

namespace seep::leak_scan {

enum class Verdict : uint8_t { kUnreached, kPossible, kReachable, kFollowed, kIndirect, kDefinite, kLive };

struct Leak {
  uint32_t block;            // Its number: a definite one.
  uint32_t indirect_blocks;  // That hang from it, without itself.
  uint64_t indirect_bytes;
};

struct MarkOptions {
  enum class Mode : uint8_t { kExact, kSampled };
  using Range = leak_scan::Range;

  Mode mode = Mode::kExact;
  uint8_t heuristics = kAllHeuristics;
  MappedFiles files;
  bool glibc_heap = false;  // The blocks are of glibc's malloc, and its own lists are told from the program's.
  // What of the blocks may be read, sorted, without overlaps; null: all. What is not in it counts as zeros.
  const Range* readable = nullptr;
  uint64_t readable_count = 0;
  Deadline deadline;
};

class Marker {
 public:
  // `index` must have been built, and stay as it is.
  Marker(PrivateMemory& memory, const BlockIndex& index, const MarkOptions& options) noexcept;
  ~Marker();
  Marker(const Marker&) = delete;
  Marker& operator=(const Marker&) = delete;

  // First: one byte for each block.
  [[nodiscard]] Outcome start() noexcept;

  // Readable memory of which every aligned word is a root (in sampled mode: all memory, the blocks' too); and a word.
  void add_roots(uint64_t start, uint64_t end) noexcept;
  void add_root(uint64_t word) noexcept;
  // As add_roots, of memory where glibc's malloc keeps its own lists. They lead to what stands before a free block: the
  // last word of the block before that, if it is so long, which nobody points at.
  void add_allocator_roots(uint64_t start, uint64_t end) noexcept;

  // Last. kOutOfTime: there is no verdict of any block.
  [[nodiscard]] Outcome finish() noexcept;

  // kPossible, kReachable, kIndirect or kDefinite; in sampled mode kDefinite or kLive.
  [[nodiscard]] Verdict verdict(uint32_t block) const noexcept {
    return static_cast<Verdict>(state_[block] & kVerdict);
  }
  // In exact mode: the definite blocks, by address. Null where there was no memory to say what hangs from them.
  [[nodiscard]] const Leak* leaks() const noexcept { return leaks_; }
  [[nodiscard]] uint32_t leak_count() const noexcept { return leak_count_; }
  [[nodiscard]] uint64_t scanned_bytes() const noexcept { return scanned_bytes_; }

 private:
  // A block's state.
  static constexpr uint8_t kVerdict = 7;
  static constexpr uint8_t kPending = 8;  // To be looked into: on the stack, or it had no room there.
  static constexpr uint8_t kPartlyReadable = 16;
  static constexpr uint8_t kLeader = 32;
  static constexpr uint64_t kFromReachable = uint64_t{1}
                                             << 63;  // The tag of a word: it stands in a root or such a block.

  void set(uint32_t block, Verdict verdict) noexcept {
    state_[block] = static_cast<uint8_t>((state_[block] & ~kVerdict) | static_cast<uint8_t>(verdict));
  }
  void find_partly_readable() noexcept;
  [[nodiscard]] bool is_readable(uint32_t block, uint64_t start, uint64_t bytes) const noexcept;
  [[nodiscard]] uint64_t first_readable(uint64_t address) const noexcept;

  template <bool kPlaces>
  void scan(uint64_t start, uint64_t end, uint64_t tag) noexcept;
  void scan_block(uint32_t block) noexcept;
  void resolve() noexcept;
  void hit(uint32_t number, uint64_t word, uint64_t tag, const Word* place) noexcept;
  [[nodiscard]] bool may_change(uint32_t number) const noexcept;
  void hit_end(uint32_t number, uint64_t word, bool is_start_of_next, bool definite, const Word* place) noexcept;
  void touch(uint32_t number, uint64_t word, bool is_start, bool definite, const Word* place) noexcept;
  [[nodiscard]] bool is_list_of_allocator(const Block& block, uint64_t word, const Word* place) const noexcept;
  void reach(uint32_t number, uint64_t word, bool is_start, bool definite) noexcept;
  void follow(uint32_t number) noexcept;
  void push(uint32_t number) noexcept;

  [[nodiscard]] bool flood() noexcept;
  [[nodiscard]] bool flood_from(uint32_t number, Verdict verdict) noexcept;
  void look_into_some() noexcept;
  [[nodiscard]] bool push_overflowed() noexcept;
  void check_clock() noexcept;

  [[nodiscard]] bool find_leaders() noexcept;
  [[nodiscard]] bool find_definite() noexcept;
  void note_leak(uint32_t block) noexcept;
  void prove() noexcept;

  PrivateMemory& memory_;
  const BlockIndex& index_;
  const MarkOptions options_;
  const WordFilter filter_;
  uint8_t* state_ = nullptr;
  enum class Phase : uint8_t { kReach, kFollow, kProve } phase_;
  Verdict follow_from_ = Verdict::kUnreached, follow_to_ = Verdict::kFollowed;
  bool out_of_time_ = false;
  bool in_allocator_ = false;
  unsigned work_since_clock_ = 0;
  uint64_t scanned_bytes_ = 0;

  uint32_t overflow_first_ = BlockIndex::kNone, overflow_last_ = 0;  // Blocks that had no room on the stack are in it.
  uint32_t leader_count_ = 0;
  uint32_t leak_count_ = 0;
  uint32_t indirect_blocks_ = 0;
  uint64_t indirect_bytes_ = 0;
  Leak* leaks_memory_ = nullptr;
  Leak* leaks_ = nullptr;

  FoundWords found_;
  const uint32_t* entry_[FoundWords::kEnough + FoundWords::kSlack];
  MarkStack stack_;
};

}  // namespace seep::leak_scan
