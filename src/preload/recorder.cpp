// SPDX-License-Identifier: Apache-2.0
//
// The slow path; see recorder.h for the pipeline.
#include "preload/recorder.h"

#include <sys/prctl.h>

#include <bit>
#include <cstring>

#include "preload/clock.h"
#include "preload/keep_errno.h"
#include "preload/leak_scan/scan.h"
#include "preload/recording.h"
#include "preload/snapshots.h"
#include "preload/trace_capture.h"
#include "record/counters.h"
#include "record/module_table.h"
#include "record/sampling.h"
#include "record/system.h"
#include "record/trace_table.h"

namespace seep {

constinit thread_local ThreadState thread_state{};

namespace {

alignas(64) constinit uint8_t first_filter[LiveFilter::array_bytes(LiveFilter::kFirstBucketsLog2)] = {};
constinit std::atomic<uint32_t> filter_started{0};

constexpr unsigned kSampledShards = 4;

// The counters that a thread adds to. A vfork child runs as its parent's thread, and has none of its own.
void take_shard(ThreadState& thread) {
  thread.shard = static_cast<uint16_t>(thread.number % kSampledShards);
  thread.special.shares_counters = 1;
  if (!recording.options.exact()) return;
  thread.shard = static_cast<uint16_t>(kAloneShards + thread.number % kSharedShards);
  if (!is_own_process()) return;
  const auto tid = static_cast<uint32_t>(sys::thread_id());
  thread.shard = static_cast<uint16_t>(recording.leases.take(recording.pid, tid, thread.number));
  thread.special.shares_counters = thread.shard < kAloneShards ? 0 : 1;
}

void start_thread(ThreadState& thread) {
  thread.number = recording.thread_count.fetch_add(1, std::memory_order_relaxed) + 1;
  uint64_t seed = recording.base_seed + (thread.number - 1) * 0xD1342543DE82EF95ull;
  thread.random = next_random(seed);
  take_shard(thread);
}

// A fork's child goes on in its parent's random sequence otherwise, in step with its siblings.
void fork_thread(ThreadState& thread) {
  thread.random ^= static_cast<uint64_t>(recording.pid) * 0x9E3779B97F4A7C15ull;
  if (thread.number != 0) take_shard(thread);
}

// The gap that was running, too, is the same in all siblings. It has no memory, so it may be drawn anew.
void draw_gap_anew(ThreadState& thread) {
  if (thread.number == 0 || recording.options.exact()) return;
  thread.bytes_until_sample = next_gap_bytes(thread.random, recording.sample_bytes_now());
  thread.interval_shift = static_cast<uint8_t>(recording.interval_shift.load(std::memory_order_relaxed));
}

// Under memory pressure the interval doubles, each time another twentieth of the limit is gone.
void raise_interval_under_pressure() {
  const uint64_t limit = recording.options.max_memory_bytes;
  if (limit == 0 || recording.options.exact()) return;
  uint64_t threshold = recording.next_pressure_bytes.load(std::memory_order_relaxed);
  if (recording.memory.used_bytes() < threshold) return;
  const uint32_t shift = recording.interval_shift.load(std::memory_order_relaxed);
  if (shift < 15 && recording.next_pressure_bytes.compare_exchange_strong(threshold, threshold + limit / 20)) {
    recording.interval_shift.store(shift + 1, std::memory_order_relaxed);
  }
}

// The number of this thread's name. A name is usually given soon after the thread's start, so it is looked at again at
// each power of two of slow paths. With another name it counts as another thread.
uint16_t thread_name(Region region, ThreadState& thread, uint32_t event) {
  const uint32_t generation = recording.name_generation.load(std::memory_order_relaxed);
  const bool power_of_two = std::has_single_bit(event);
  if (thread.name_generation == generation && !power_of_two) return thread.thread_name;
  char name[kThreadNameBytes] = {};
  system_call(SYS_prctl, PR_GET_NAME, sys::as_long(name));
  const uint16_t before = thread.thread_name;
  thread.thread_name = find_or_add_thread_name(region, name);
  if (thread.name_generation == generation && thread.thread_name != before) {
    thread.number = recording.thread_count.fetch_add(1, std::memory_order_relaxed) + 1;
  }
  thread.name_generation = generation;
  if (!thread.is_alone() && power_of_two && recording.options.exact()) take_shard(thread);
  return thread.thread_name;
}

__attribute__((always_inline)) inline Scratch* acquire_scratch(ThreadState& thread, unsigned& index) {
  return recording.scratches.acquire(thread, reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), index);
}

// The number of this event, of those of the thread that came here. In exact mode those between are counted that the
// fast path takes; it leaves each power of two, and each 256th.
uint32_t note_event(ThreadState& thread) {
  constexpr uint32_t kEach = ThreadState::kLookAfterEvents;
  const uint32_t event = thread.slow_events - thread.events_at_once + 1;
  const uint32_t next = event < kEach ? std::bit_ceil(event + 1) : event - event % kEach + kEach;
  thread.events_at_once = recording.options.exact() ? next - 1 - event : 0;
  thread.slow_events = event + thread.events_at_once;
  return event;
}

// Counts an allocation. In a thread's own shard it is of the class that the shard is in.
void count_in(Region region, const ThreadState& thread, Trace& trace, CounterBlock& shard, const LiveEntry& entry) {
  const Weight weight = recording.weight_of(entry);
  if (thread.is_alone() && !is_of_present_class(shard, entry.birth_ns)) enter_birth_class(shard, entry.birth_ns);
  count_allocation(shard, entry.size_bytes, entry.birth_ns, recording.options.exact() ? nullptr : &weight);
  const TraceTable table(region);
  if (!thread.is_alone()) table.note_peak(trace, nullptr, entry.size_bytes);
  else if (!use_headroom(shard, entry.size_bytes)) table.note_peak(trace, &shard, entry.size_bytes);
}

// Where it is to be counted; null where there is no room. A sampled recording's shards are shared by all.
CounterBlock* find_place(TraceTable table, ThreadState& thread, Trace& trace) {
  CounterBlock* shard = table.shard(trace, thread.shard);
  return shard == nullptr && !recording.options.exact() ? &trace.shard0() : shard;
}

void count_record(Region region, ThreadState& thread, uint32_t event, const LiveEntry& entry) {
  const TraceTable table(region);
  Trace& trace = *region.at<Trace>(entry.trace);
  CounterBlock* shard = find_place(table, thread, trace);
  if (shard != nullptr) count_in(region, thread, trace, *shard, entry);
  else table.count_late_allocation(trace, entry.size_bytes);
  table.note_thread_name(trace, thread_name(region, thread, event));
  if (region.part_of(entry.trace) != 0) add(region.header().private_alloc_blocks, 1);
}

// False: there is no room. A free that was missed is counted.
bool insert_live(uintptr_t address, const LiveEntry& entry, PackedFilter filter) {
  LiveEntry old;
  switch (recording.live.insert(address, entry, old)) {
    case LiveTable::Insert::kNoRoom: count_loss(LossKind::kLiveTableFull); return false;
    case LiveTable::Insert::kReplaced:
      count_loss(LossKind::kMissedFree);
      count_freed(reinterpret_cast<void*>(address), {true, old, filter}, false);
      break;
    case LiveTable::Insert::kDone: break;
  }
  return true;
}

// Into the live table, and the filter before it; in exact mode that lets every address pass.
bool enter_live(uintptr_t address, const LiveEntry& entry) {
  if (recording.options.exact()) {
    if (!insert_live(address, entry, 0)) return false;
    recording.heap_pages.add(address, entry.size_bytes);
    return true;
  }
  const PackedFilter filter = live_filter.count_in(address);
  if (!insert_live(address, entry, filter)) {
    live_filter.count_out(address, filter);
    return false;
  }
  live_filter.settle(address, filter);
  return true;
}

// The stack trace of a free; 0 where it cannot be had.
__attribute__((always_inline)) inline Ref trace_of_free(Region region, ThreadState& thread, const CallerFrame* caller) {
  unsigned scratch_index;
  Scratch* scratch = !region.valid() ? nullptr : acquire_scratch(thread, scratch_index);
  if (scratch == nullptr) return 0;
  const Ref trace = TraceCapture(region, thread, *scratch, scratch_index).capture(now_ns(), caller);
  recording.scratches.release(scratch_index);
  return trace;
}

// Where it was freed is all that is known of such a block.
void record_unknown_free() {
  count_loss(LossKind::kUnknownFree);
  const Region region = open_region();
  const Ref trace = trace_of_free(region, thread_state, nullptr);
  if (trace != 0) region.at<Trace>(trace)->unknown_frees.fetch_add(1, std::memory_order_relaxed);
}

// Blocks that are freed say where those of the same trace should have been that are not: only while there are some. To
// look at a free costs as much as an allocation, and mostly a trace of its own.
__attribute__((noinline)) void look_at_free(Region region, ThreadState& thread, Trace& trace,
                                            const CallerFrame* caller) {
  const Ref freed_from = trace_of_free(region, thread, caller);
  if (freed_from != 0) TraceTable(region).note_freeing(trace, freed_from);
}

void look_after_things(uint32_t event) {
  live_filter.grow_if_full(recording.live, recording.memory);
  raise_interval_under_pressure();
  // A sample comes once in a while and costs microseconds anyway, so that the clock is no matter there.
  if (!recording.options.exact() || event % ThreadState::kLookAfterEvents == 0) {
    maybe_snapshot();
    if (leak_scan::look_after_copy()) (void)take_snapshot();
  }
}

}  // namespace

constinit LiveFilter live_filter{first_filter};

void start_filter() noexcept {
  if (filter_started.exchange(1, std::memory_order_acq_rel) == 0) live_filter.start();
}

void match_nothing() noexcept { live_filter.start(); }

bool stick_in_filter(const void* block) noexcept { return live_filter.stick(reinterpret_cast<uintptr_t>(block)); }

uint64_t now_ns() noexcept {
  const Region region = recording.region();
  const uint64_t started = region.valid() ? region.header().identity.started_monotonic_ns : 0;
  const uint64_t now = monotonic_coarse_ns();
  const uint64_t since = started != 0 && now > started ? now - started : 0;
  return recording.options.exact() ? AddressTable::rounded_birth(since) : since;
}

void record_fork_in_child() noexcept {
  const KeepErrno keep_errno;
  if (!notice_fork_in_child()) return;
  fork_thread(thread_state);
  if (recording.state.load(std::memory_order_relaxed) == Recording::kOn) draw_gap_anew(thread_state);
}

bool is_sampled(size_t size) noexcept {
  const KeepErrno keep_errno;
  ThreadState& thread = thread_state;
  if (!prepare_recording()) {
    // Off for good, or not begun: forward. What is lost before the beginning is what prepare() itself calls for.
    thread.bytes_until_sample = recording.state.load(std::memory_order_relaxed) == Recording::kOff ? INT64_MAX : 0;
    return false;
  }
  if (notice_fork()) fork_thread(thread);
  if (thread.number == 0) {
    start_thread(thread);
    if (!recording.options.exact()) {
      const int64_t gap = next_gap_bytes(thread.random, recording.sample_bytes_now());
      thread.interval_shift = static_cast<uint8_t>(recording.interval_shift.load(std::memory_order_relaxed));
      if (static_cast<uint64_t>(gap) > size) {
        thread.bytes_until_sample = gap - static_cast<int64_t>(size + 1);
        return false;
      }
    }
  }
  thread.sample_shift = thread.interval_shift;
  if (recording.options.exact()) {
    thread.bytes_until_sample = 0;
    return true;
  }
  thread.bytes_until_sample = next_gap_bytes(thread.random, recording.sample_bytes_now());
  thread.interval_shift = static_cast<uint8_t>(recording.interval_shift.load(std::memory_order_relaxed));
  return true;
}

void record_allocation(void* block, size_t size, const CallerFrame* caller) noexcept {
  const KeepErrno keep_errno;
  ThreadState& thread = thread_state;
  hold(block);
  const Region region = open_region();
  if (!region.valid()) return count_loss(LossKind::kNoRegion);
  if (thread.number == 0) start_thread(thread);
  unsigned scratch_index;
  Scratch* scratch = acquire_scratch(thread, scratch_index);
  if (scratch == nullptr) return count_loss(LossKind::kNested);
  const uint64_t time_ns = now_ns();
  TraceCapture capture(region, thread, *scratch, scratch_index);
  const Ref trace = capture.capture(time_ns, caller);
  const Cut cut = capture.cut();
  recording.scratches.release(scratch_index);
  if (trace == 0) return count_loss(LossKind::kRegionFull);
  if (cut != Cut::kWhole && cut != Cut::kDepthLimit) region.count_loss(LossKind::kCutRecord);
  const uint32_t event = note_event(thread);
  const LiveEntry entry{size, time_ns, trace, thread.sample_shift, thread.special.leak_check_disabled != 0};
  if (enter_live(reinterpret_cast<uintptr_t>(block), entry)) count_record(region, thread, event, entry);
  thread.last_recorded = reinterpret_cast<uintptr_t>(block);
  thread.bytes_until_sample_then = thread.bytes_until_sample;
  look_after_things(event);
}

bool record_known(void* block, size_t size, const CallerFrame& caller) noexcept {
  ThreadState& thread = thread_state;
  const Region region(recording.process_page->region.load(std::memory_order_acquire));
  TraceCache::Trace found;
  if (!region.valid() || thread.is_special() || thread.events_at_once == 0 || !caller.find(thread, found)) return false;
  const KeepErrno keep_errno;
  --thread.events_at_once;
  const LiveEntry entry{size, thread.now_ns, found.trace, 0, false};
  if (!enter_live(reinterpret_cast<uintptr_t>(block), entry)) return true;
  CounterBlock& shard = *found.shard;
  if (thread.now_ns >= shard.class_end_ns.load(std::memory_order_relaxed)) enter_birth_class(shard, thread.now_ns);
  count_allocation(shard, size, thread.now_ns, nullptr, AddAlone());
  if (!use_headroom(shard, size)) TraceTable(region).note_peak(*region.at<Trace>(found.trace), &shard, size);
  thread.last_recorded = reinterpret_cast<uintptr_t>(block);
  return true;
}

TakenRecord take_record(void* block) noexcept {
  TakenRecord record{};
  take_record(block, record);
  return record;
}

void take_record(void* block, TakenRecord& record) noexcept {
  const KeepErrno keep_errno;
  hold(block);
  if (block == nullptr || recording.state.load(std::memory_order_acquire) != Recording::kOn) return;
  if (notice_fork()) fork_thread(thread_state);
  record.filter = live_filter.current();
  record.taken = recording.live.remove(reinterpret_cast<uintptr_t>(block), record.entry);
  if (!record.taken && recording.options.exact()) record_unknown_free();
}

namespace {

void count_freed_inherited(Region region, const Weight& weight) {
  const uint64_t blocks = static_cast<uint64_t>(weight.blocks + 0.5);
  const uint64_t bytes = static_cast<uint64_t>(weight.bytes + 0.5);
  add(region.valid() ? region.header().freed_inherited_blocks : recording.freed_inherited_blocks, blocks);
  add(region.valid() ? region.header().freed_inherited_bytes : recording.freed_inherited_bytes, bytes);
}

}  // namespace

void count_freed(void* block, const TakenRecord& record, bool by_free, const CallerFrame* caller) noexcept {
  if (!record.taken) return;
  const KeepErrno keep_errno;
  ThreadState& thread = thread_state;
  const LiveEntry& entry = record.entry;
  const bool exact = recording.options.exact();
  if (!exact) live_filter.count_out(reinterpret_cast<uintptr_t>(block), record.filter);
  const Weight weight = recording.weight_of(entry);
  const Region region = recording.region();
  if (entry.trace < recording.first_own_trace.load(std::memory_order_relaxed)) {
    return count_freed_inherited(region, weight);
  }
  if (thread.number == 0 && exact) start_thread(thread);
  TraceTable table(region);
  const bool temporary = by_free && thread.last_recorded == reinterpret_cast<uintptr_t>(block) &&
                         thread.bytes_until_sample_then == thread.bytes_until_sample;
  Trace& trace = *region.at<Trace>(entry.trace);
  CounterBlock* shard = find_place(table, thread, trace);
  if (shard == nullptr) return table.count_late_free(trace, entry.size_bytes);
  if (thread.is_alone()) {
    count_free(*shard, entry.size_bytes, entry.birth_ns, thread.clock.is_right() ? thread.now_ns : now_ns(), temporary,
               nullptr, AddAlone());
    give_headroom(*shard, entry.size_bytes);
  } else {
    count_free(*shard, entry.size_bytes, entry.birth_ns, now_ns(), temporary, exact ? nullptr : &weight);
  }
  const bool looks = by_free && TraceTable::looks_at_free(shard->free_blocks.load(std::memory_order_relaxed));
  if (looks && table.has_live(trace)) look_at_free(region, thread, trace, caller);
}

void note_given_back(const void* block, const TakenRecord& record) noexcept {
  if (!record.taken || record.entry.size_bytes < leak_scan::HeapPages::kLargeBytes || !recording.options.exact())
    return;
  const KeepErrno keep_errno;
  recording.heap_pages.note_freed(reinterpret_cast<uintptr_t>(block), record.entry.size_bytes);
}

void put_back(void* block, const TakenRecord& record) noexcept {
  if (!record.taken) return;
  const KeepErrno keep_errno;
  LiveEntry old;
  // It was there a moment ago, so there is room, unless another thread took the very slot and there is no memory left.
  if (recording.live.insert(reinterpret_cast<uintptr_t>(block), record.entry, old) == LiveTable::Insert::kNoRoom) {
    count_freed(block, record, false);
    count_loss(LossKind::kLiveTableFull);
    return;
  }
  if (!recording.options.exact()) live_filter.settle(reinterpret_cast<uintptr_t>(block), record.filter);
}

}  // namespace seep
