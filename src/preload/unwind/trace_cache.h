// SPDX-License-Identifier: Apache-2.0
//
// Traces that were walked before, by what led there. A walk is a function of the registers that it begins with and of
// the words that it reads: where each of these words is as it was, the trace is the same. That is exact, by induction:
// where the words read so far are the same, the next one is read at the same place. So each word is looked at only when
// all before it were right, and nothing is read that the walk itself would not read.
//
//     buckets_[hash of pc and stack pointer]
//         └─> entry: registers, trace, up to 6 inner words ─> segment: the next 6 words ─> segment ... ─> the outermost
//                                         another entry ─────────┘
//
// A word and its place are one number: what is remembered are code and stack addresses, of 48 bits, and above them
// stands the offset. So a segment is a cache line, and a word is two loads.
//
// Entries and segments stand in a ring that is written on and on; what it is about to write over is void before
// (`written_`), and a reader looks at that again before he goes where a word says, and at the end. A segment is older
// than what leads there, so that it is void first. One writes at a time; who cannot, does not.
//
// Where pc and stack pointer are the same and the callers differ (an interpreter's loop), the bucket does not lead to
// an entry: it says where a word stands that tells them apart, and that goes into the hash, too; and so on, until only
// one entry is left. Such a word is on the page of the stack pointer, which is in use, or it is the next that the walk
// would read.
//
// What was tried and was no faster, by the pairs and programs of scripts/bench: entries that hold all their words,
// without shared segments (deep stacks push each other out); two entries to a bucket (one more line is touched, and
// interpreters need more than two); offsets beside the words, a half more memory and loads (at depth 50 the cost of a
// frame was 0.46 ns); telling callers apart by words that a walk by rows finds, in place of the words'
// places (the walk costs what the cache is to save).
//
// A cache: nothing in it is needed. Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "preload/private_memory.h"
#include "preload/unwind/walked_words.h"
#include "record/region.h"

namespace seep {

struct CounterBlock;  // record/counters.h

// Where a walk would start, and up to where its stack can be read.
struct WalkStart {
  uintptr_t pc, sp, frame_pointer, stack_end;
  uint32_t generation;  // Of the loaded modules.
};

class TraceCache {
 public:
  // What is known of a trace, as the fast path wants it. The cache makes nothing of it.
  struct Trace {
    uint64_t record_bits;  // Of records of it, in the table of blocks by address.
    CounterBlock* shard;   // Its counters for the thread with this number.
    uint32_t thread;
    Ref trace;
  };

  constexpr explicit TraceCache(PrivateMemory& memory) : memory_(memory) {}

  // The trace of such a walk, if it is known. In two steps, so that memory is on its way meanwhile: where it would
  // stand (0: nowhere), and whether it holds.
  [[nodiscard]] __attribute__((always_inline)) uint64_t locate(uintptr_t pc, uintptr_t sp,
                                                               uintptr_t stack_end) const noexcept;
  [[nodiscard]] __attribute__((always_inline)) bool matches(uint64_t place, uintptr_t pc, uintptr_t sp,
                                                            uintptr_t frame_pointer, uintptr_t stack_end,
                                                            uint32_t generation, Trace& found) const noexcept;
  [[nodiscard]] bool find(const WalkStart& start, Trace& found) const noexcept;

  // What a walk came to. `owner` is not 0, and says who writes: of two that have the same, one is gone.
  // `is_gone(owner)`: it will never write on.
  template <typename IsGone>
  void insert(const WalkStart& start, const WalkedWords& words, const Trace& trace, uint32_t owner,
              IsGone is_gone) noexcept {
    uint32_t writer = writer_.load(std::memory_order_relaxed);
    if (writer != 0 && writer != owner && !is_gone(writer)) return;
    if (!writer_.compare_exchange_strong(writer, owner, std::memory_order_acquire)) return;
    if (make_ring()) write(start, words, trace);
    writer_.store(0, std::memory_order_release);
  }

  // In a fork's child: what is there is the parent's, and who wrote is gone.
  void clear() noexcept;

 private:
  using Word = std::atomic<uint64_t>;
  static constexpr uint64_t kRingWords = uint64_t{1} << 19;
  // Buckets in use: few at first, which stay in the processor's caches. With more the old ones are forgotten.
  static constexpr unsigned kFirstBucketsLog2 = 10, kMoreBucketsLog2 = 2, kMostBucketsLog2 = 16;
  static constexpr unsigned kMostProbes = 8;
  static constexpr unsigned kSegmentsLog2 = 14;
  static constexpr unsigned kTagBits = 16;  // Of a bucket: its hash's lowest bits. The rest is a place in the ring.
  static constexpr unsigned kMostDeeper = 16;
  // In place of a place: callers differ. The lowest bits say where the word stands that tells them apart.
  static constexpr uint64_t kApart = uint64_t{1} << 47;
  static constexpr unsigned kSegmentWords = 6;
  static constexpr unsigned kFewWords = kSegmentWords / 2;  // An entry has so many, or all.

  // Words with where they stand: the upper 16 bits are the offset from the stack pointer, or from the segment's base,
  // in words.
  using PlacedWords = Word[kSegmentWords];
  struct Segment {
    Word link;  // The place of the next; 0: this is the outermost.
    Word base;  // The address of its lowest word.
    PlacedWords words;
  };
  static_assert(sizeof(Segment) == 64);
  struct Entry {
    Word pc, sp;
    Word frame_pointer;  // 0: it does not matter.
    Word generation_and_count;
    Word end;  // Of what is read of the stack.
    Word record_bits, shard, thread_and_trace;
    Word link;
    PlacedWords words;  // One at least; filled up with the last one.
  };
  struct Memory {
    Word ring[kRingWords];
    Word buckets[(1 << kMostBucketsLog2) + kMostProbes];
    Word segments[1 << kSegmentsLog2];  // By a hash of what is in them: for who writes, as the next.
    // The walk that was written last: most share their outer frames with the one before, and then its segments.
    WalkedWords last;
    uint64_t last_segments[WalkedWords::kMost / kSegmentWords + 1];  // Their places, the outermost first.
  };

  [[nodiscard]] static uint64_t load(const Word& word) noexcept { return word.load(std::memory_order_relaxed); }
  [[nodiscard]] static constexpr uint64_t mix(uint64_t hash) noexcept { return hash * 0x9E3779B97F4A7C15ull; }
  [[nodiscard]] static constexpr uint64_t hash_of(uintptr_t pc, uintptr_t sp) noexcept { return mix(pc ^ mix(sp)); }
  [[nodiscard]] static bool has_tag(uint64_t bucket, uint64_t hash) noexcept {
    return ((bucket ^ hash) & ((1u << kTagBits) - 1)) == 0;
  }
  // Where the search for a hash begins; it goes on to the next ones while these hold something, for kMostProbes.
  [[nodiscard]] const Word* first_bucket(const Memory& memory, uint64_t hash) const noexcept {
    return &memory.buckets[hash >> bucket_shift_.load(std::memory_order_relaxed)];
  }
  // The word of the bucket that has this hash's tag; 0: none.
  [[nodiscard]] uint64_t bucket_of(const Memory& memory, uint64_t hash) const noexcept {
    const Word* bucket = first_bucket(memory, hash);
    for (unsigned i = 0; i < kMostProbes; ++i) {
      const uint64_t word = bucket[i].load(std::memory_order_acquire);
      if (__builtin_expect(has_tag(word, hash), true)) return word;
      if (word == 0) break;
    }
    return 0;
  }
  // Whether what stands at a place of the ring is as it was when that was told.
  [[nodiscard]] __attribute__((always_inline)) bool is_intact(uint64_t place) const noexcept {
    std::atomic_thread_fence(std::memory_order_acquire);
    return written_.load(std::memory_order_relaxed) - place <= kRingWords;
  }
  static constexpr uint64_t placed(uint64_t word, uint64_t offset) noexcept {
    return word | offset << WalkedWords::kWordBits;
  }
  static constexpr uint64_t word_in(uint64_t placed_word) noexcept {
    return placed_word & ((uint64_t{1} << WalkedWords::kWordBits) - 1);
  }
  // Whether these of the words are as they were. None is looked up before it is known to be one.
  template <size_t... i>
  [[nodiscard]] __attribute__((always_inline)) bool are_the_same(const PlacedWords& words, const uint64_t* stack,
                                                                 uint64_t place,
                                                                 std::index_sequence<i...>) const noexcept {
    const uint64_t remembered[] = {load(words[i])...};
    if (!is_intact(place)) return false;
    return (... | (word_in(remembered[i]) ^ stack[remembered[i] >> WalkedWords::kWordBits])) == 0;
  }
  template <typename T>
  [[nodiscard]] static const T& at(const Memory& memory, uint64_t place) noexcept {
    return *reinterpret_cast<const T*>(&memory.ring[place % kRingWords]);
  }
  [[nodiscard]] bool make_ring() noexcept;
  void grow_buckets() noexcept;
  void put(uint64_t hash, uint64_t place) noexcept;
  void write(const WalkStart& start, const WalkedWords& words, const Trace& trace) noexcept;
  [[nodiscard]] uint64_t hash_for(const WalkStart& start, const WalkedWords& words) noexcept;
  [[nodiscard]] bool begins_alike(uint64_t place, const WalkStart& start) const noexcept;
  [[nodiscard]] bool word_of(uint64_t place, unsigned index, uint64_t& word) const noexcept;
  [[nodiscard]] unsigned index_apart(uint64_t place, const WalkStart& start, const WalkedWords& words,
                                     unsigned next) const noexcept;
  [[nodiscard]] uint64_t claim(size_t bytes) noexcept;
  [[nodiscard]] unsigned shared_with_last(const WalkedWords& words, unsigned segments) const noexcept;
  void remember_last(const WalkedWords& words) noexcept;
  [[nodiscard]] uint64_t find_or_write_segment(uintptr_t sp, const WalkedWords& words, unsigned first,
                                               uint64_t link) noexcept;
  [[nodiscard]] uint64_t write_entry(const WalkStart& start, const WalkedWords& words, unsigned count, uint64_t link,
                                     const Trace& trace) noexcept;
  [[nodiscard]] Memory& memory() const noexcept { return *tables_.load(std::memory_order_relaxed); }

  PrivateMemory& memory_;
  std::atomic<Memory*> tables_{nullptr};
  std::atomic<uint64_t> written_{8};  // Words of the ring, ever; what comes next is void already.
  std::atomic<unsigned> bucket_shift_{64 - kFirstBucketsLog2};
  unsigned filled_ = 0;  // Buckets. The writer's, as the next.
  uint32_t failures_ = 0;
  std::atomic<uint32_t> writer_{0};
};

// In order of the segments: none is looked at before all that come before it are found to be right.
inline bool TraceCache::matches(uint64_t place, uintptr_t pc, uintptr_t sp, uintptr_t frame_pointer,
                                uintptr_t stack_end, uint32_t generation, Trace& found) const noexcept {
  const Memory& memory = *tables_.load(std::memory_order_relaxed);
  const Entry& entry = at<Entry>(memory, place);
  if (load(entry.pc) != pc || load(entry.sp) != sp || load(entry.end) > stack_end) return false;
  const uint64_t its_frame_pointer = load(entry.frame_pointer);
  if (its_frame_pointer != 0 && its_frame_pointer != frame_pointer) return false;
  const uint64_t about = load(entry.generation_and_count);
  if (static_cast<uint32_t>(about) != generation) return false;
  const uint64_t thread_and_trace = load(entry.thread_and_trace);
  found = {load(entry.record_bits), reinterpret_cast<CounterBlock*>(load(entry.shard)),
           static_cast<uint32_t>(thread_and_trace), static_cast<Ref>(thread_and_trace >> 32)};
  uint64_t link = load(entry.link);
  const auto* const stack = reinterpret_cast<const uint64_t*>(sp);
  constexpr std::make_index_sequence<kSegmentWords> kAll;
  constexpr std::make_index_sequence<kFewWords> kFew;
  if (!(about >> 32 > kFewWords ? are_the_same(entry.words, stack, place, kAll)
                                : are_the_same(entry.words, stack, place, kFew))) {
    return false;
  }
  while (link != 0) {
    const Segment& segment = at<Segment>(memory, place = link);
    link = load(segment.link);
    const auto* const base = reinterpret_cast<const uint64_t*>(load(segment.base));
    if (!are_the_same(segment.words, base, place, kAll)) return false;
  }
  return is_intact(place);
}

inline uint64_t TraceCache::locate(uintptr_t pc, uintptr_t sp, uintptr_t stack_end) const noexcept {
  const Memory* memory = tables_.load(std::memory_order_acquire);
  if (__builtin_expect(memory == nullptr, false)) return 0;
  uint64_t hash = hash_of(pc, sp);
  uint64_t place = bucket_of(*memory, hash) >> kTagBits;
  const auto* stack = reinterpret_cast<const uint64_t*>(sp);
  for (unsigned depth = 0; __builtin_expect((place & kApart) != 0, false); ++depth) {
    const uint64_t offset = place & WalkedWords::kMostOffset;
    if (depth == kMostDeeper || sp + (offset + 1) * sizeof *stack > stack_end) return 0;
    hash = mix(hash ^ stack[offset]);
    place = bucket_of(*memory, hash) >> kTagBits;
  }
  const Entry& entry = at<Entry>(*memory, place);
  __builtin_prefetch(&entry);
  __builtin_prefetch(&entry.link);
  return place;
}

}  // namespace seep
