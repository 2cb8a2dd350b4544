// SPDX-License-Identifier: Apache-2.0
//
// The trie of traces; see trace_table.h for the picture and the order of stores.
#include "record/trace_table.h"

#include <cstring>

#include "record/trace_trie.h"

namespace seep {
namespace {

constexpr unsigned kLastDepth = kTrieDepths - 1;

uint64_t mix(uint64_t value) {  // The finalizer of MurmurHash3 (Appleby): every input bit reaches every output bit.
  value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCDull;
  value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53ull;
  return value ^ (value >> 33);
}

uint64_t hash_frames(const Frame* frames, uint32_t count, Cut cut) {
  uint64_t hash = 0x9E3779B97F4A7C15ull * (count + 1) + static_cast<uint64_t>(cut);
  for (uint32_t i = 0; i < count; ++i) {
    hash = (hash ^ frames[i]) * 0x9FB21C651E98DF25ull;
    hash ^= hash >> 32;
  }
  return mix(hash);
}

unsigned slot_index(uint64_t hash, unsigned depth) {
  return static_cast<unsigned>(hash >> (kTrieRootBits + depth * kTrieNodeBits)) & ((1u << kTrieNodeBits) - 1);
}

}  // namespace

bool TraceTable::same(Trace& trace, uint64_t hash, const Frame* frames, uint32_t count, Cut cut) const noexcept {
  return trace.hash == hash && trace.frame_count == count && trace.cut == cut &&
         memcmp(trace.frames(region_.header()), frames, count * sizeof(Frame)) == 0;
}

Ref TraceTable::make_trace(const Frame* frames, uint32_t count, Cut cut, uint64_t hash,
                           uint64_t now_ns) const noexcept {
  RegionHeader& header = region_.header();
  const Ref ref = region_.allocate(sizeof(Trace) + header.counters_bytes + count * sizeof(Frame), kTraceAlignment);
  if (ref == 0) return 0;
  Trace& trace = *region_.at<Trace>(ref);
  trace.hash = hash;
  trace.id = header.trace_count.fetch_add(1, std::memory_order_relaxed) + 1;
  trace.frame_count = count;
  trace.cut = cut;
  trace.first_allocated_ns = now_ns;
  memcpy(trace.frames(header), frames, count * sizeof(Frame));
  std::atomic<Ref>& head = header.newest[region_.part_of(ref)].trace;
  Ref newest = head.load(std::memory_order_relaxed);
  do {
    trace.next_older = newest;
  } while (!head.compare_exchange_weak(newest, ref, std::memory_order_acq_rel));
  return ref;
}

// Two traces want one slot: put a node there that leads to the one that came first, and go on below.
bool TraceTable::split(std::atomic<uint32_t>& slot, uint32_t leaf, unsigned depth) const noexcept {
  const Ref ref = region_.allocate(sizeof(TrieNode));
  if (ref == 0) return false;
  const uint64_t hash = region_.at<Trace>(leaf >> 1)->hash;
  region_.at<TrieNode>(ref)->slot[slot_index(hash, depth)].store(leaf, std::memory_order_relaxed);
  slot.compare_exchange_strong(leaf, ref << 1 | kTrieNodeTag, std::memory_order_acq_rel);
  return true;  // Or another thread was first, which is as good; our node is lost.
}

Ref TraceTable::search(const Frame* frames, uint32_t count, Cut cut, uint64_t now_ns,
                       MayInsert may_insert) const noexcept {
  uint64_t hash = hash_frames(frames, count, cut);
  std::atomic<uint32_t>* slot = &region_.header().trie_root[hash & (kTrieRootSlots - 1)];
  unsigned depth = 0;
  Ref made = 0;
  bool asked = false;
  for (;;) {
    uint32_t value = slot->load(std::memory_order_acquire);
    if (value & kTrieNodeTag) {
      slot = &region_.at<TrieNode>(value >> 1)->slot[slot_index(hash, depth)];
      ++depth;
      continue;
    }
    if (value != 0) {
      Trace& found = *region_.at<Trace>(value >> 1);
      if (same(found, hash, frames, count, cut)) return value >> 1;
      if (found.hash == hash || depth > kLastDepth) {  // Other frames with this very hash: take another hash, anew.
        hash = mix(hash + 1);
        slot = &region_.header().trie_root[hash & (kTrieRootSlots - 1)];
        depth = 0;
        made = 0;
        continue;
      }
    }
    if (!asked && !may_insert.answer(may_insert.context)) return 0;
    asked = true;
    if (value != 0) {
      if (!split(*slot, value, depth)) return 0;
      continue;
    }
    if (made == 0) made = make_trace(frames, count, cut, hash, now_ns);
    if (made == 0) return 0;
    if (slot->compare_exchange_strong(value, made << 1, std::memory_order_acq_rel)) return made;
  }
}

Ref TraceTable::find_or_insert(const Frame* frames, uint32_t count, Cut cut, uint64_t now_ns) const noexcept {
  return search(frames, count, cut, now_ns, {[](void*) { return true; }, nullptr});
}

Ref TraceTable::find(const Frame* frames, uint32_t count, Cut cut) const noexcept {
  return search(frames, count, cut, 0, {[](void*) { return false; }, nullptr});
}

// What a trace leads to, of zeros, made if it is not there. A trace in the file must not lead to what is lost with the
// process.
Ref TraceTable::make(std::atomic<Ref>& slot, const Trace& trace, size_t bytes) const noexcept {
  Ref ref = slot.load(std::memory_order_acquire);
  if (ref != 0) return ref;
  const Ref made = region_.allocate(bytes, kTraceAlignment);
  if (made == 0 || (region_.part_of(made) != 0 && region_.part_of(region_.ref_of(&trace)) == 0)) return 0;
  return slot.compare_exchange_strong(ref, made, std::memory_order_acq_rel) ? made : ref;
}

CounterBlock* TraceTable::shard(Trace& trace, unsigned index) const noexcept {
  if (index == 0) return &trace.shard0();
  std::atomic<Ref>* slot = index < kNearShards ? &trace.near_shards[index - 1] : nullptr;
  if (slot == nullptr) {
    const Ref table = make(trace.shard_table, trace, sizeof(ShardTable));
    if (table == 0) return nullptr;
    slot = &region_.at<ShardTable>(table)->shard[index - kNearShards];
  }
  const Ref ref = make(*slot, trace, region_.header().counters_bytes);
  return ref == 0 ? nullptr : region_.at<CounterBlock>(ref);
}

void TraceTable::count_late_allocation(Trace& trace, uint64_t size_bytes) const noexcept {
  add(trace.late_alloc_blocks, 1);
  add(trace.late_alloc_bytes, size_bytes);
}

void TraceTable::count_late_free(Trace& trace, uint64_t size_bytes) const noexcept {
  add(trace.late_free_blocks, 1);
  add(trace.late_free_bytes, size_bytes);
}

TraceSums TraceTable::sums(Trace& trace) const noexcept {
  TraceSums sums;
  sums.free_blocks = trace.late_free_blocks.load(std::memory_order_relaxed);
  sums.free_bytes = trace.late_free_bytes.load(std::memory_order_relaxed);
  sums.alloc_blocks = trace.late_alloc_blocks.load(std::memory_order_relaxed);
  sums.alloc_bytes = trace.late_alloc_bytes.load(std::memory_order_relaxed);
  sums.ages_known = sums.free_blocks == 0 && sums.alloc_blocks == 0;
  each_shard(trace, [&](const CounterBlock& shard) { sums.add(shard); });
  return sums;
}

void TraceTable::note_peak(Trace& trace, CounterBlock* alone, uint64_t size_bytes) const noexcept {
  uint64_t live_bytes =
      trace.late_alloc_bytes.load(std::memory_order_relaxed) - trace.late_free_bytes.load(std::memory_order_relaxed);
  unsigned shards = 0;
  each_shard(trace, [&](const CounterBlock& each) {
    live_bytes += each.alloc_bytes.load(std::memory_order_relaxed) - each.free_bytes.load(std::memory_order_relaxed);
    ++shards;
  });
  uint64_t peak = trace.peak_live_bytes.load(std::memory_order_relaxed);
  // A difference that is negative because a free was counted in between is no peak.
  if (static_cast<int64_t>(live_bytes) < 0) live_bytes = 0;
  while (live_bytes > peak &&
         !trace.peak_live_bytes.compare_exchange_weak(peak, live_bytes, std::memory_order_relaxed)) {
  }
  if (alone == nullptr) return;
  if (live_bytes > peak) peak = live_bytes;
  constexpr uint64_t kUnseenBlocks = 63;
  const uint64_t room_bytes = shards == 1 ? peak - live_bytes : kUnseenBlocks * (size_bytes + 1);
  alone->headroom_bytes.store(room_bytes, std::memory_order_relaxed);
}

void TraceTable::note_thread_name(Trace& trace, uint16_t thread_name) const noexcept {
  if (thread_name == 0) return;
  for (auto& slot : trace.thread_names) {
    uint16_t name = slot.load(std::memory_order_relaxed);
    if (name == 0 && slot.compare_exchange_strong(name, thread_name, std::memory_order_relaxed)) return;
    if (name == thread_name) return;
  }
  trace.more_thread_names.store(1, std::memory_order_relaxed);
}

bool TraceTable::has_live(Trace& trace) const noexcept {
  uint64_t live_blocks =
      trace.late_alloc_blocks.load(std::memory_order_relaxed) - trace.late_free_blocks.load(std::memory_order_relaxed);
  each_shard(trace, [&](CounterBlock& shard) {
    live_blocks +=
        shard.alloc_blocks.load(std::memory_order_relaxed) - shard.free_blocks.load(std::memory_order_relaxed);
  });
  return static_cast<int64_t>(live_blocks) > 0;
}

void TraceTable::note_freeing(Trace& trace, Ref freed_from) const noexcept {
  uint64_t word = trace.freeing.load(std::memory_order_relaxed);
  for (;;) {
    const FreeingStack before = FreeingStack::unpack(word);
    if (before.looked_at == FreeingStack::kMostLooks) return;
    if (trace.freeing.compare_exchange_weak(word, before.with(freed_from).pack(), std::memory_order_relaxed)) break;
  }
  region_.at<Trace>(freed_from)->is_freeing.store(1, std::memory_order_relaxed);
}

}  // namespace seep
