// SPDX-License-Identifier: Apache-2.0
//
// The slow path; see recorder.h for the pipeline.
#include "preload/recorder.h"

#include <sys/prctl.h>

#include <cstring>

#include "preload/clock.h"
#include "preload/keep_errno.h"
#include "preload/leak_scan/scan.h"
#include "preload/recording.h"
#include "preload/snapshots.h"
#include "record/counters.h"
#include "record/module_table.h"
#include "record/sampling.h"
#include "record/system.h"
#include "record/trace_table.h"

namespace seep {

constinit thread_local ThreadState thread_state{};

namespace {

alignas(64) constinit uint8_t first_filter[1 << LiveFilter::kFirstBucketsLog2] = {};
constinit std::atomic<uint32_t> filter_started{0};

void start_thread(ThreadState& thread) {
  const uint32_t number = recording.thread_count.fetch_add(1, std::memory_order_relaxed);
  uint64_t seed = recording.base_seed + number * 0xD1342543DE82EF95ull;
  thread.random = next_random(seed);
  thread.shard = static_cast<uint16_t>(number % kShards);
  thread.started = 1;
}

// A fork's child goes on in its parent's random sequence otherwise, in step with its siblings.
void fork_thread(ThreadState& thread) { thread.random ^= static_cast<uint64_t>(recording.pid) * 0x9E3779B97F4A7C15ull; }

// The gap that was running, too, is the same in all siblings. It has no memory, so it may be drawn anew.
void draw_gap_anew(ThreadState& thread) {
  if (thread.started == 0 || recording.options.exact()) return;
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
// each power of two of slow paths.
uint16_t thread_name(Region region, ThreadState& thread) {
  const uint32_t generation = recording.name_generation.load(std::memory_order_relaxed);
  const bool power_of_two = (thread.slow_events & (thread.slow_events - 1)) == 0;
  if (thread.name_generation == generation && !power_of_two) return thread.thread_name;
  char name[kThreadNameBytes] = {};
  system_call(SYS_prctl, PR_GET_NAME, sys::as_long(name));
  thread.thread_name = find_or_add_thread_name(region, name);
  thread.name_generation = generation;
  return thread.thread_name;
}

__attribute__((always_inline)) inline Scratch* acquire_scratch(ThreadState& thread, unsigned& index) {
  return recording.scratches.acquire(thread, reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), index);
}

// The stack trace of this call as a trace of the recording; 0 where there is no room for it.
class TraceCapture {
 public:
  TraceCapture(Region region, ThreadState& thread, Scratch& scratch)
      : region_(region), thread_(thread), scratch_(scratch), table_(region) {}

  __attribute__((always_inline)) Ref capture(uint64_t time_ns) {
    Registers registers;
    capture_registers(registers);
    return capture_from(registers, time_ns);
  }
  [[nodiscard]] Cut cut() const { return walk_.cut; }

 private:
  __attribute__((noinline)) Ref capture_from(const Registers& start, uint64_t time_ns) {
    for (unsigned attempt = 0;; ++attempt) {
      Registers registers = start;
      walk_ = recording.unwinder.walk(registers, thread_, scratch_.walk, scratch_.pcs, recording.options.depth);
      make_frames();
      const Ref found = table_.find(scratch_.frames, walk_.count, walk_.cut);
      if (found != 0) return found;
      // A new trace. Rows from the cache may be of a library that has gone without a dlclose; then once more, afresh.
      if (attempt == 1 || still_loaded()) {
        return table_.find_or_insert(scratch_.frames, walk_.count, walk_.cut, time_ns);
      }
      recording.forget_loaded_code();
    }
  }

  // pcs to (module, offset).
  void make_frames() {
    ModuleView view;
    for (uint32_t i = 0; i < walk_.count; ++i) {
      const uintptr_t pc = scratch_.pcs[i];
      if (!view.holds(pc)) find_module_of(pc, view);
      scratch_.frames[i] = view.id == 0 ? make_frame(0, pc) : make_frame(view.id, pc - view.load_bias);
    }
  }

  // Whether what is mapped at each frame is what was remembered.
  bool still_loaded() {
    ModuleView view;
    for (uint32_t i = 0; i < walk_.count; ++i) {
      const uintptr_t pc = scratch_.pcs[i];
      if (view.holds(pc)) continue;
      find_module_of(pc, view);
      if (view.id != 0 && !recording.modules.still_loaded(pc, view)) return false;
    }
    return true;
  }

  void find_module_of(uintptr_t pc, ModuleView& view) {
    view = ModuleView();
    if (!recording.modules.find(pc, region_, scratch_.path, view)) view = ModuleView();
  }

  Region region_;
  ThreadState& thread_;
  Scratch& scratch_;
  TraceTable table_;
  Walk walk_{};
};

// A record whose trace is known goes into the live table and is counted.
void enter_record(Region region, ThreadState& thread, uintptr_t address, const LiveEntry& entry) {
  TraceTable table(region);
  Trace& trace = *region.at<Trace>(entry.trace);
  const PackedFilter filter = live_filter.count_in(address);
  LiveEntry old;
  switch (recording.live.insert(address, entry, old)) {
    case LiveTable::Insert::kNoRoom:
      live_filter.count_out(address, filter);
      count_loss(LossKind::kLiveTableFull);
      return;
    case LiveTable::Insert::kReplaced:
      count_loss(LossKind::kMissedFree);
      count_freed(reinterpret_cast<void*>(address), {true, old, filter}, false);
      break;
    case LiveTable::Insert::kDone: break;
  }
  live_filter.settle(address, filter);
  if (recording.options.exact()) recording.heap_pages.add(address, entry.size_bytes);
  const bool exact = recording.options.exact();
  const Weight weight = recording.weight_of(entry);
  count_allocation(table.shard(trace, thread.shard), entry.size_bytes, entry.birth_ns, exact ? nullptr : &weight);
  if (region.part_of(entry.trace) != 0) add(region.header().private_alloc_blocks, 1);
  table.note_allocation(trace, entry.birth_ns, thread_name(region, thread));
}

// The stack trace of a free; 0 where it cannot be had.
__attribute__((always_inline)) inline Ref trace_of_free(Region region, ThreadState& thread) {
  unsigned scratch_index;
  Scratch* scratch = !region.valid() ? nullptr : acquire_scratch(thread, scratch_index);
  if (scratch == nullptr) return 0;
  const Ref trace = TraceCapture(region, thread, *scratch).capture(now_ns());
  recording.scratches.release(scratch_index);
  return trace;
}

// Where it was freed is all that is known of such a block.
void record_unknown_free() {
  count_loss(LossKind::kUnknownFree);
  const Region region = open_region();
  const Ref trace = trace_of_free(region, thread_state);
  if (trace != 0) region.at<Trace>(trace)->unknown_frees.fetch_add(1, std::memory_order_relaxed);
}

// Blocks that are freed say where those of the same trace should have been that are not: only while there are some. To
// look at a free costs as much as an allocation, and mostly a trace of its own.
__attribute__((noinline)) void look_at_free(Region region, ThreadState& thread, Trace& trace) {
  const Ref freed_from = trace_of_free(region, thread);
  if (freed_from != 0) TraceTable(region).note_freeing(trace, freed_from);
}

void look_after_things(ThreadState& thread) {
  live_filter.grow_if_full(recording.live, recording.memory);
  raise_interval_under_pressure();
  // A sample comes once in a while and costs microseconds anyway, so that the clock is no matter there.
  if (!recording.options.exact() || thread.slow_events % 256 == 0) {
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
  return started != 0 && now > started ? now - started : 0;
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
  if (thread.started == 0) {
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

void record_allocation(void* block, size_t size) noexcept {
  const KeepErrno keep_errno;
  ThreadState& thread = thread_state;
  hold(block);
  const Region region = open_region();
  if (!region.valid()) return count_loss(LossKind::kNoRegion);
  unsigned scratch_index;
  Scratch* scratch = acquire_scratch(thread, scratch_index);
  if (scratch == nullptr) return count_loss(LossKind::kNested);
  const uint64_t time_ns = now_ns();
  TraceCapture capture(region, thread, *scratch);
  const Ref trace = capture.capture(time_ns);
  const Cut cut = capture.cut();
  recording.scratches.release(scratch_index);
  if (trace == 0) return count_loss(LossKind::kRegionFull);
  if (cut != Cut::kWhole && cut != Cut::kDepthLimit) region.count_loss(LossKind::kCutRecord);
  ++thread.slow_events;
  enter_record(region, thread, reinterpret_cast<uintptr_t>(block),
               {size, time_ns, trace, thread.sample_shift, thread.leak_check_disabled != 0});
  thread.last_recorded = reinterpret_cast<uintptr_t>(block);
  thread.bytes_until_sample_then = thread.bytes_until_sample;
  look_after_things(thread);
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

void count_freed(void* block, const TakenRecord& record, bool by_free) noexcept {
  if (!record.taken) return;
  const KeepErrno keep_errno;
  ThreadState& thread = thread_state;
  live_filter.count_out(reinterpret_cast<uintptr_t>(block), record.filter);
  const LiveEntry& entry = record.entry;
  const bool exact = recording.options.exact();
  const Weight weight = recording.weight_of(entry);
  const Region region = recording.region();
  if (entry.trace < recording.first_own_trace.load(std::memory_order_relaxed)) {
    const uint64_t blocks = static_cast<uint64_t>(weight.blocks + 0.5);
    const uint64_t bytes = static_cast<uint64_t>(weight.bytes + 0.5);
    add(region.valid() ? region.header().freed_inherited_blocks : recording.freed_inherited_blocks, blocks);
    add(region.valid() ? region.header().freed_inherited_bytes : recording.freed_inherited_bytes, bytes);
    return;
  }
  TraceTable table(region);
  const bool temporary = by_free && thread.last_recorded == reinterpret_cast<uintptr_t>(block) &&
                         thread.bytes_until_sample_then == thread.bytes_until_sample;
  Trace& trace = *region.at<Trace>(entry.trace);
  CounterBlock& shard = table.shard(trace, thread.shard);
  count_free(shard, entry.size_bytes, entry.birth_ns, now_ns(), temporary, exact ? nullptr : &weight);
  const bool looks = by_free && TraceTable::looks_at_free(shard.free_blocks.load(std::memory_order_relaxed));
  if (looks && table.has_live(trace)) look_at_free(region, thread, trace);
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
  live_filter.settle(reinterpret_cast<uintptr_t>(block), record.filter);
}

}  // namespace seep
