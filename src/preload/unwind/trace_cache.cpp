// SPDX-License-Identifier: Apache-2.0
//
// The cache's rare sides: what writes. See trace_cache.h.
#include "preload/unwind/trace_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace seep {
namespace {

constexpr uint64_t kWordBytes = sizeof(uint64_t);
constexpr uint64_t kLineWords = 8;

}  // namespace

bool TraceCache::find(const WalkStart& start, Trace& found) const noexcept {
  const uint64_t place = locate(start.pc, start.sp, start.stack_end);
  return place != 0 &&
         matches(place, start.pc, start.sp, start.frame_pointer, start.stack_end, start.generation, found);
}

void TraceCache::clear() noexcept {
  written_.fetch_add(kRingWords + kLineWords, std::memory_order_relaxed);
  writer_.store(0, std::memory_order_relaxed);
}

bool TraceCache::make_ring() noexcept {
  if (tables_.load(std::memory_order_relaxed) != nullptr) return true;
  // Asking for memory takes its time: where there is none, less and less often.
  if (failures_ != 0 && !std::has_single_bit(failures_++)) return false;
  auto* memory = static_cast<Memory*>(memory_.reserve(sizeof(Memory)));
  if (memory == nullptr) {
    if (failures_ == 0) failures_ = 1;
    return false;
  }
  memory_.count_used(kWordBytes << kFirstBucketsLog2);
  tables_.store(memory, std::memory_order_release);
  return true;
}

// ---- Buckets.

// Into the one that has the tag, else into one that is empty or leads to what is void, else into the first.
void TraceCache::put(uint64_t hash, uint64_t place) noexcept {
  Word* first = const_cast<Word*>(first_bucket(memory(), hash));
  Word* found = nullptr;
  for (Word* bucket = first; bucket != first + kMostProbes; ++bucket) {
    const uint64_t word = load(*bucket), its_place = word >> kTagBits;
    const bool void_place = (its_place & kApart) == 0 && !is_intact(its_place);
    if (word != 0 && has_tag(word, hash)) found = bucket;
    else if (found == nullptr && (word == 0 || void_place)) found = bucket;
    if (word == 0 || (word != 0 && has_tag(word, hash))) break;
  }
  if (found == nullptr) found = first;
  if (load(*found) == 0) ++filled_;
  found->store(place << kTagBits | (hash & ((1u << kTagBits) - 1)), std::memory_order_release);
}

// A third of them are filled at most, so that a search is short.
void TraceCache::grow_buckets() noexcept {
  const unsigned log2 = 64 - bucket_shift_.load(std::memory_order_relaxed);
  if (filled_ < (1u << log2) / 3) return;
  const unsigned more = log2 + kMoreBucketsLog2 > kMostBucketsLog2 ? kMostBucketsLog2 : log2 + kMoreBucketsLog2;
  for (uint64_t i = 0; i < (uint64_t{1} << log2) + kMostProbes; ++i) {
    memory().buckets[i].store(0, std::memory_order_relaxed);
  }
  memory_.count_used((kWordBytes << more) - (kWordBytes << log2));
  filled_ = 0;
  bucket_shift_.store(64 - more, std::memory_order_relaxed);
}

// ---- The ring.

// So much of it, from the beginning of a cache line on, and in one piece. What stood there is void from now on.
uint64_t TraceCache::claim(size_t bytes) noexcept {
  const uint64_t size = (bytes / kWordBytes + kLineWords - 1) / kLineWords * kLineWords;
  const uint64_t before = written_.load(std::memory_order_relaxed);
  const uint64_t left = kRingWords - before % kRingWords;
  const uint64_t place = left < size ? before + left : before;
  if (before < kRingWords) memory_.count_used((place + size - before) * kWordBytes);
  written_.store(place + size, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  return place;
}

// The place of a segment of the words from `first` on; the same one for the same words and link.
uint64_t TraceCache::find_or_write_segment(uintptr_t sp, const WalkedWords& words, unsigned first,
                                           uint64_t link) noexcept {
  // From the lowest on: a frame pointer's word comes behind others that lie above it.
  const unsigned lowest = *std::min_element(words.offset + first, words.offset + first + kSegmentWords);
  const uintptr_t base = sp + lowest * kWordBytes;
  const auto word_at = [&](unsigned i) { return placed(words.value[first + i], words.offset[first + i] - lowest); };
  uint64_t hash = mix(base ^ mix(link));
  for (unsigned i = 0; i < kSegmentWords; ++i) hash = mix(hash ^ word_at(i));
  Word& bucket = memory().segments[hash >> (64 - kSegmentsLog2)];
  const uint64_t there = load(bucket);
  const auto is_same = [&](const Segment& segment) {
    bool same = load(segment.base) == base && load(segment.link) == link;
    for (unsigned i = 0; same && i < kSegmentWords; ++i) same = load(segment.words[i]) == word_at(i);
    return same;
  };
  if (there != 0 && is_intact(there) && is_same(at<Segment>(memory(), there))) return there;
  const uint64_t place = claim(sizeof(Segment));
  auto& segment = const_cast<Segment&>(at<Segment>(memory(), place));
  segment.link.store(link, std::memory_order_relaxed);
  segment.base.store(base, std::memory_order_relaxed);
  for (unsigned i = 0; i < kSegmentWords; ++i) segment.words[i].store(word_at(i), std::memory_order_relaxed);
  bucket.store(place, std::memory_order_relaxed);
  return place;
}

// How many of this walk's outermost segments are those of the one before, by their words.
unsigned TraceCache::shared_with_last(const WalkedWords& words, unsigned segments) const noexcept {
  const WalkedWords& last = memory().last;
  // What offsets differ by where they are of the same place. (In words: both are aligned to these.)
  const uint64_t lower = (words.sp - last.sp) / kWordBytes;
  unsigned shared = 0;
  for (; shared < segments; ++shared) {
    const unsigned behind = (shared + 1) * kSegmentWords;
    if (last.count <= behind || !is_intact(memory().last_segments[shared])) break;
    const unsigned here = words.count - behind, there = last.count - behind;
    uint64_t differences = 0;
    for (unsigned i = 0; i < kSegmentWords; ++i) {
      differences |= words.value[here + i] ^ last.value[there + i];
      differences |= (words.offset[here + i] + lower) ^ last.offset[there + i];
    }
    if (differences != 0) break;
  }
  return shared;
}

void TraceCache::remember_last(const WalkedWords& words) noexcept {
  WalkedWords& last = memory().last;
  last.sp = words.sp;
  memcpy(last.offset, words.offset, words.count * sizeof *words.offset);
  memcpy(last.value, words.value, words.count * sizeof *words.value);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  last.count = words.count;
}

// The first `count` words stand in the entry itself.
uint64_t TraceCache::write_entry(const WalkStart& start, const WalkedWords& words, unsigned count, uint64_t link,
                                 const Trace& trace) noexcept {
  const uint64_t place = claim(sizeof(Entry));
  auto& entry = const_cast<Entry&>(at<Entry>(memory(), place));
  const auto store = [](Word& word, uint64_t value) { word.store(value, std::memory_order_relaxed); };
  store(entry.pc, start.pc);
  store(entry.sp, start.sp);
  store(entry.frame_pointer, words.goes_by_start ? start.frame_pointer : 0);
  store(entry.generation_and_count, uint64_t{count} << 32 | start.generation);
  store(entry.end, start.sp + (uint64_t{words.largest_offset} + 1) * kWordBytes);
  store(entry.record_bits, trace.record_bits);
  store(entry.shard, reinterpret_cast<uint64_t>(trace.shard));
  store(entry.thread_and_trace, uint64_t{trace.trace} << 32 | trace.thread);
  store(entry.link, link);
  for (unsigned i = 0; i < kSegmentWords; ++i) {
    const unsigned from = i < count ? i : count - 1;
    store(entry.words[i], placed(words.value[from], words.offset[from]));
  }
  return place;
}

// ---- The way from the registers to an entry.

bool TraceCache::begins_alike(uint64_t place, const WalkStart& start) const noexcept {
  if (place == 0 || !is_intact(place)) return false;
  const Entry& entry = at<Entry>(memory(), place);
  return load(entry.pc) == start.pc && load(entry.sp) == start.sp &&
         static_cast<uint32_t>(load(entry.generation_and_count)) == start.generation;
}

// The word with this index of an entry that can only be looked at by who writes; false where it has none.
bool TraceCache::word_of(uint64_t place, unsigned index, uint64_t& word) const noexcept {
  const Entry& entry = at<Entry>(memory(), place);
  uint64_t count = load(entry.generation_and_count) >> 32, link = load(entry.link);
  const Word* words = entry.words;
  while (index >= count) {
    if (link == 0 || !is_intact(link)) return false;
    index -= static_cast<unsigned>(count);
    const Segment& segment = at<Segment>(memory(), link);
    link = load(segment.link);
    words = segment.words;
    count = kSegmentWords;
  }
  word = word_in(load(words[index]));
  return true;
}

// The index of the word by which a walk and an entry that begin alike are told apart; words.count: none is.
unsigned TraceCache::index_apart(uint64_t place, const WalkStart& start, const WalkedWords& words,
                                 unsigned next) const noexcept {
  constexpr uint64_t kPageMask = ~uint64_t{4095};
  unsigned index = 0;
  uint64_t word;
  while (index < words.count && word_of(place, index, word) && word == words.value[index]) ++index;
  if (index == words.count || !word_of(place, index, word)) return words.count;
  const uintptr_t address = start.sp + words.offset[index] * kWordBytes;
  return ((address ^ start.sp) & kPageMask) == 0 ? index : next;
}

// Down to where nothing is, or what is to be replaced. An entry that is met on the way and begins alike shows that
// callers differ: it moves down by its own word there. (If they do not, it is one of another thread, and replaced.)
uint64_t TraceCache::hash_for(const WalkStart& start, const WalkedWords& words) noexcept {
  uint64_t hash = hash_of(start.pc, start.sp);
  for (unsigned depth = 0; depth < kMostDeeper && depth < words.count; ++depth) {
    const uint64_t place = bucket_of(memory(), hash) >> kTagBits;
    unsigned index = depth;
    uint64_t word;
    if ((place & kApart) != 0) {
      index = 0;
      while (index < words.count && words.offset[index] != (place & WalkedWords::kMostOffset)) ++index;
      // This walk does not go by there: the next word will do for all. What hangs below is forgotten.
      if (index == words.count) put(hash, kApart | words.offset[index = depth]);
    } else {
      if (!begins_alike(place, start)) break;
      index = index_apart(place, start, words, depth);
      if (index == words.count) break;
      put(hash, kApart | words.offset[index]);
      if (word_of(place, index, word)) put(mix(hash ^ word), place);
    }
    hash = mix(hash ^ words.value[index]);
  }
  return hash;
}

void TraceCache::write(const WalkStart& start, const WalkedWords& words, const Trace& trace) noexcept {
  if (words.count == 0 || (start.frame_pointer == 0 && words.goes_by_start)) return;
  grow_buckets();
  const unsigned inner = (words.count - 1) % kSegmentWords + 1, segments = (words.count - inner) / kSegmentWords;
  unsigned done = shared_with_last(words, segments);
  memory().last.count = 0;  // Its places are written over: whoever ends here leaves none.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  uint64_t* const places = memory().last_segments;
  uint64_t link = done == 0 ? 0 : places[done - 1];
  for (; done < segments; ++done) {
    places[done] = link = find_or_write_segment(start.sp, words, words.count - (done + 1) * kSegmentWords, link);
  }
  remember_last(words);
  put(hash_for(start, words), write_entry(start, words, inner, link, trace));
}

}  // namespace seep
