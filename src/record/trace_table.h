// SPDX-License-Identifier: Apache-2.0
//
// The traces of a recording, each stored once. Lookup is a trie over a 64-bit hash of the frames: 4096 root slots by
// the lowest 12 bits, then nodes of 16 slots by 4 bits each.
//
//     trie_root[hash & 4095] --> node --(next 4 bits)--> trace A
//                                     `-(next 4 bits)--> node --> trace B, trace C
//     newest.trace --> C --> B --> A        (the list that readers and the snapshot encoder walk)
//
// (Two lists: traces in the file, and those that came when it could not grow; see region.h.)
//
// It never rehashes, nothing moves and nothing is removed, so a lookup is a few acquire loads and an insertion one CAS.
// Order of stores: the trace is filled; it is linked at the head of the list (CAS, release); it is put into the trie
// (CAS, release), and only then counted. A thread that lost the race for the trie slot leaves a copy in the list that
// is never counted, which readers skip. So whatever is reached is whole, and every trace with counts is in the list.
//
// Runs inside the host, any thread, signal handlers, lock-free; reads work in the analyzer too.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/counters.h"
#include "record/region.h"

namespace seep {

// A trace is where blocks were allocated, or where one was freed that is not known.

// A frame: the module's number in the high 16 bits, the offset in the low 48. Module 0 is code outside any module, its
// offset the address itself.
using Frame = uint64_t;
inline constexpr unsigned kFrameOffsetBits = 48;
inline constexpr uint64_t kMaxModules = 0xFFFF;

constexpr Frame make_frame(uint32_t module, uint64_t offset) {
  return static_cast<uint64_t>(module) << kFrameOffsetBits | (offset & ((uint64_t{1} << kFrameOffsetBits) - 1));
}
constexpr uint32_t frame_module(Frame frame) { return static_cast<uint32_t>(frame >> kFrameOffsetBits); }
constexpr uint64_t frame_offset(Frame frame) { return frame & ((uint64_t{1} << kFrameOffsetBits) - 1); }

// Values of proto Trace.Cut.
enum class Cut : uint8_t { kWhole, kDepthLimit, kNoUnwindInformation, kOutsideStack, kBadUnwindInformation };

inline constexpr unsigned kTraceThreadNames = 4;

// Where the blocks of a trace are mostly freed, among the frees that were looked at: the majority vote of Boyer and
// Moore (1981), which finds the stack of more than half of them, if there is one, in constant space. Packed into a
// word, so that a reader never sees half of it.
struct FreeingStack {
  static constexpr uint64_t kMostLooks = (1 << 12) - 1, kMostVotes = (1 << 8) - 1;

  Ref trace;           // The candidate; 0: none yet.
  uint64_t looked_at;  // Frees.
  uint64_t seen;       // Of these from there, since it has been the candidate: really so many or more.
  uint64_t votes;

  [[nodiscard]] static constexpr FreeingStack unpack(uint64_t word) noexcept {
    return {static_cast<Ref>(word), word >> 32 & kMostLooks, word >> 44 & kMostLooks, word >> 56};
  }
  [[nodiscard]] constexpr uint64_t pack() const noexcept { return trace | looked_at << 32 | seen << 44 | votes << 56; }

  [[nodiscard]] constexpr FreeingStack with(Ref freed_from) const noexcept {
    const uint64_t looks = looked_at + 1;
    if (trace == freed_from) return {trace, looks, seen + 1, votes < kMostVotes ? votes + 1 : votes};
    if (votes == 0) return {freed_from, looks, 1, 1};
    return {trace, looks, seen, votes - 1};
  }
};

// Shards of a trace's counters. Most of them belong to one thread each, for as long as it lives; the last ones are
// shared by all threads beyond these, and by all threads of a sampled recording.
inline constexpr unsigned kAloneShards = 48;
inline constexpr unsigned kSharedShards = 16;
inline constexpr unsigned kShards = kAloneShards + kSharedShards;
inline constexpr unsigned kNearShards = 6;  // These a trace leads to itself, the others by a table.

struct ShardTable {
  std::atomic<Ref> shard[kShards - kNearShards];
};

// Aligned to 64. Traces are numbered by their place, in units of that, where a number must be small.
struct Trace {
  Ref next_older;
  uint32_t id;
  uint64_t hash;
  uint32_t frame_count;
  Cut cut;
  std::atomic<uint8_t> more_thread_names;
  std::atomic<uint16_t> thread_names[kTraceThreadNames];  // 0: none.
  std::atomic<Ref> near_shards[kNearShards - 1];          // Shard 0 follows this struct; the others come when needed.
  std::atomic<Ref> shard_table;                           // Of the ShardTable; comes when needed.
  std::atomic<uint32_t> unknown_frees;                    // Frees from here of blocks that are not known.
  std::atomic<uint32_t> is_freeing;                       // 1: blocks of a trace are freed from here.
  std::atomic<uint64_t> freeing;                          // Where its blocks are freed: a FreeingStack, packed.
  uint64_t first_allocated_ns;
  std::atomic<uint64_t> peak_live_bytes;
  uint64_t written_signature;  // Of the encoder: the counts when last written; 0: the frames are not written yet.
  // Of threads for whose shard there was no room; nothing else is known of these.
  std::atomic<uint64_t> late_alloc_blocks, late_alloc_bytes, late_free_blocks, late_free_bytes;
  // Then one CounterBlock of RegionHeader::counters_bytes, then the frames.

  [[nodiscard]] CounterBlock& shard0() noexcept { return *reinterpret_cast<CounterBlock*>(this + 1); }
  [[nodiscard]] Frame* frames(const RegionHeader& header) noexcept {
    return reinterpret_cast<Frame*>(reinterpret_cast<char*>(this + 1) + header.counters_bytes);
  }
};
inline constexpr size_t kTraceAlignment = 64;
static_assert(sizeof(Trace) == 128);

class TraceTable {
 public:
  explicit TraceTable(Region region) noexcept : region_(region) {}

  // The trace with these frames, made if it is new; 0 where there is no room.
  [[nodiscard]] Ref find_or_insert(const Frame* frames, uint32_t count, Cut cut, uint64_t now_ns) const noexcept;
  // The same, where `may_insert()` says so of one that is not there; else 0.
  template <typename Answer>
  [[nodiscard]] Ref find_or_insert(const Frame* frames, uint32_t count, Cut cut, uint64_t now_ns,
                                   Answer& may_insert) const noexcept {
    const auto answer = [](void* context) -> bool { return (*static_cast<Answer*>(context))(); };
    return search(frames, count, cut, now_ns, {answer, &may_insert});
  }
  // The same, without making it.
  [[nodiscard]] Ref find(const Frame* frames, uint32_t count, Cut cut) const noexcept;

  // A shard of a trace, made if it is not there; null where there is no room for it.
  [[nodiscard]] CounterBlock* shard(Trace& trace, unsigned index) const noexcept;
  // The same, where it is there; else null.
  [[nodiscard]] CounterBlock* find_shard(Trace& trace, unsigned index) const noexcept {
    if (index == 0) return &trace.shard0();
    const Ref ref = shard_ref(trace, index);
    return ref == 0 ? nullptr : region_.at<CounterBlock>(ref);
  }

  // Calls visit(CounterBlock&) for each shard that exists.
  template <typename Visit>
  void each_shard(Trace& trace, Visit visit) const noexcept {
    visit(trace.shard0());
    const auto visit_all = [&](auto& refs) {
      for (auto& extra : refs) {
        const Ref ref = extra.load(std::memory_order_acquire);
        if (ref != 0) visit(*region_.at<CounterBlock>(ref));
      }
    };
    visit_all(trace.near_shards);
    const Ref table = trace.shard_table.load(std::memory_order_acquire);
    if (table != 0) visit_all(region_.at<ShardTable>(table)->shard);
  }
  // Where there is no room for the thread's shard. Any thread.
  void count_late_allocation(Trace& trace, uint64_t size_bytes) const noexcept;
  void count_late_free(Trace& trace, uint64_t size_bytes) const noexcept;

  // The plain counts of all of them.
  [[nodiscard]] TraceSums sums(Trace& trace) const noexcept;

  // After an allocation was counted: raises the trace's peak to what is live now. `alone`, if not null, is the shard
  // that it was counted in and that one thread has alone: it gets a headroom, by which what is live of it may grow
  // before this must be asked again. With one shard the peak is exact. With several each may hold some 64 blocks more,
  // unseen: to look more often would have threads wait for each other's counters.
  void note_peak(Trace& trace, CounterBlock* alone, uint64_t size_bytes) const noexcept;
  void note_thread_name(Trace& trace, uint16_t thread_name) const noexcept;

  // Whether the trace's `number`th free is to be looked at, counted in a shard: the first, second, fourth, and so on,
  // and each 256th. And what was seen: the trace that it was freed from.
  [[nodiscard]] static constexpr bool looks_at_free(uint64_t number) noexcept {
    return (number & (number - 1)) == 0 || number % 256 == 0;
  }
  [[nodiscard]] bool has_live(Trace& trace) const noexcept;
  void note_freeing(Trace& trace, Ref freed_from) const noexcept;

 private:
  // Whether a trace that is not there may be entered; asked once.
  struct MayInsert {
    bool (*answer)(void* context);
    void* context;
  };
  [[nodiscard]] Ref search(const Frame* frames, uint32_t count, Cut cut, uint64_t now_ns,
                           MayInsert may_insert) const noexcept;
  [[nodiscard]] Ref make_trace(const Frame* frames, uint32_t count, Cut cut, uint64_t hash,
                               uint64_t now_ns) const noexcept;
  [[nodiscard]] bool same(Trace& trace, uint64_t hash, const Frame* frames, uint32_t count, Cut cut) const noexcept;
  [[nodiscard]] bool split(std::atomic<uint32_t>& slot, uint32_t leaf, unsigned depth) const noexcept;
  [[nodiscard]] Ref shard_ref(Trace& trace, unsigned index) const noexcept {
    if (index < kNearShards) return trace.near_shards[index - 1].load(std::memory_order_acquire);
    const Ref table = trace.shard_table.load(std::memory_order_acquire);
    return table == 0 ? 0 : region_.at<ShardTable>(table)->shard[index - kNearShards].load(std::memory_order_acquire);
  }
  [[nodiscard]] Ref make(std::atomic<Ref>& slot, const Trace& trace, size_t bytes) const noexcept;

  Region region_;
};

}  // namespace seep
