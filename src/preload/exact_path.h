// SPDX-License-Identifier: Apache-2.0
//
// The fast path of exact mode: an allocation whose trace the cache has, and the free of a small block, without a system
// call, a locked instruction, or a search. What is not usual about an event sends it to the slow path (recorder.cpp),
// before anything of it is written.
//
//     malloc ─ real malloc ─ trace cache ─ word of the address table ─ the thread's own counters
//     free ─── word of the address table ─ the thread's own counters ─ real free
//
// Runs inside the host, any thread, signal handlers; touches no errno.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/clock.h"
#include "preload/recording.h"
#include "preload/thread_state.h"
#include "preload/trace_capture.h"
#include "record/counters.h"
#include "record/trace_table.h"

namespace seep {

// What became of an event on the fast path. kPeak: it is recorded, and its trace's peak is to be looked at.
enum class AtOnce : uint8_t { kNot, kDone, kPeak };
struct RecordedAtOnce {
  char* region;
  CounterBlock* shard;
  Ref trace;
};

// Whether the thread's clock has been read for this very event.
enum class ClockIs : uint8_t { kReadBefore, kReadNow };

// Reads the time for the fast path, which only looks whether a tick has come since.
inline void read_time(ThreadState& thread) noexcept {
  const ProcessPage& page = *recording.process_page;
  if (page.region.load(std::memory_order_relaxed) == nullptr || thread.clock.is_right()) return;
  // The coarse clock may be behind the exact one by which the recording began.
  const uint64_t now_ns = read_coarse_ns(thread.clock, thread.now_ns + page.started_ns);
  thread.now_ns = AddressTable::rounded_birth(now_ns > page.started_ns ? now_ns - page.started_ns : 0);
  thread.birth_bits = AddressTable::birth_bits(thread.now_ns);
  // There is no such tick: from then on nothing is recorded at once.
  if (!AddressTable::fits_birth(thread.now_ns)) thread.clock = {~uint64_t{0}, 0};
}

// `caller` is who called the hook, and where its trace would stand is `place`. Nothing is called from here, so that the
// compiler need not keep registers.
template <ClockIs clock_is>
[[nodiscard]] __attribute__((always_inline)) inline AtOnce record_at_once(const void* block, size_t size,
                                                                          const CallerFrame& caller, uint64_t place,
                                                                          RecordedAtOnce& recorded) noexcept {
  ThreadState& thread = thread_state;
  char* const region = recording.process_page->region.load(std::memory_order_acquire);
  if (region == nullptr || thread.is_special() || thread.events_at_once == 0) return AtOnce::kNot;
  const auto address = reinterpret_cast<uintptr_t>(block);
  AddressTable::Word* leaf;
  if (size > AddressTable::kMostSmallBytes || !recording.live.by_address().find_leaf(address, leaf))
    return AtOnce::kNot;
  AddressTable::Word& word = AddressTable::word_in(leaf, address);
  if (!AddressTable::is_noted(word.load(std::memory_order_relaxed), leaf, address)) return AtOnce::kNot;
  if (!AddressTable::is_in_one_page(address, size) && !recording.heap_pages.contains(address + size - 1)) {
    return AtOnce::kNot;
  }
  if (clock_is == ClockIs::kReadBefore && !thread.clock.is_right()) return AtOnce::kNot;
  TraceCache::Trace found;
  if (!caller.matches(place, thread, found)) return AtOnce::kNot;
  CounterBlock& shard = *found.shard;
  if (thread.now_ns >= shard.class_end_ns.load(std::memory_order_relaxed)) return AtOnce::kNot;
  --thread.events_at_once;
  thread.last_recorded = address;
  word.store(AddressTable::pack(address, size, found.record_bits, thread.birth_bits), std::memory_order_release);
  add_alone(shard.alloc_blocks, 1);
  add_alone(shard.alloc_bytes, size);
  shard.last_allocated_ns.store(thread.now_ns, std::memory_order_relaxed);
  recorded = {region, &shard, found.trace};
  return __builtin_expect(use_headroom(shard, size), true) ? AtOnce::kDone : AtOnce::kPeak;
}

// True: it was recorded, and is not any more.
template <ClockIs clock_is>
[[nodiscard]] __attribute__((always_inline)) inline bool release_at_once(const void* block) noexcept {
  const ProcessPage& page = *recording.process_page;
  ThreadState& thread = thread_state;
  char* const region = page.region.load(std::memory_order_acquire);
  const auto address = reinterpret_cast<uintptr_t>(block);
  AddressTable::Word* leaf;
  if (region == nullptr || !thread.is_alone() || address >> AddressTable::kAddressBits != 0 ||
      !recording.live.by_address().find_leaf(address, leaf)) {
    return false;
  }
  AddressTable::Word& word = AddressTable::word_in(leaf, address);
  const uint64_t entry = word.load(std::memory_order_relaxed);
  const Ref ref = AddressTable::trace_of(entry);
  if (!AddressTable::is_of(entry, address) || ref < page.first_own_trace) return false;
  if (clock_is == ClockIs::kReadBefore && !thread.clock.is_right()) return false;
  auto& trace = *reinterpret_cast<Trace*>(region + size_t{ref} * kRefUnitBytes);
  CounterBlock* shard = TraceTable(Region(region)).find_shard(trace, thread.shard);
  if (shard == nullptr) return false;
  if (TraceTable::looks_at_free(shard->free_blocks.load(std::memory_order_relaxed) + 1)) return false;
  const uint64_t size_bytes = AddressTable::size_bytes_at(&word, entry);
  // The allocator may give it back to the kernel, which is to be looked at afterwards.
  if (size_bytes >= leak_scan::HeapPages::kLargeBytes) return false;
  AddressTable::take(&word, entry);
  count_free(*shard, size_bytes, AddressTable::birth_ns_of(entry), thread.now_ns, thread.last_recorded == address,
             nullptr, AddAlone());
  give_headroom(*shard, size_bytes);
  return true;
}

}  // namespace seep
