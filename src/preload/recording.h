// SPDX-License-Identifier: Apache-2.0
//
// The state of this process's recording: options, working memory, the region, and its life: made at the first record,
// left behind at a fork, closed at exit. Recorder (recorder.cpp) fills it, host_events.cpp ends it, snapshots.cpp
// writes it out. Runs inside the host, any thread, signal handlers, lock-free: where two threads meet at the making of
// the region, the second waits for the first a bounded time, and then counts what it drops.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/leak_scan/heap_pages.h"
#include "preload/live_table.h"
#include "preload/loaded_modules.h"
#include "preload/options.h"
#include "preload/private_memory.h"
#include "preload/scratch_pool.h"
#include "preload/shard_leases.h"
#include "preload/unwind/trace_cache.h"
#include "preload/unwind/unwinder.h"
#include "record/region.h"
#include "record/sampling.h"

namespace seep {

// What holds in one process alone: a page that a fork's child sees as zeros, whoever forked.
struct ProcessPage {
  enum Canary : uint32_t { kUnnoticed, kNoticing, kNoticed };
  std::atomic<uint32_t> canary;
  std::atomic<char*> region;  // In exact mode, while events may be recorded by the fast path (exact_path.h).
  uint32_t first_own_trace;   // Both written before `region`.
  uint64_t started_ns;
};

struct Recording {
  Options options;
  PrivateMemory memory;
  LiveTable live{memory, 7};
  leak_scan::HeapPages heap_pages{memory};  // Exact mode.
  LoadedModules modules{memory};
  RowCache rows;
  Unwinder unwinder{modules, rows};
  TraceCache traces{memory};  // Exact mode.
  ShardLeases leases;         // The same.
  ScratchPool scratches{memory};

  enum State : uint32_t { kUnprepared, kPreparing, kOn, kOff };
  std::atomic<uint32_t> state{kUnprepared};

  // The region; null until the first record.
  std::atomic<void*> region_base{nullptr};
  std::atomic<uint32_t> opening{0};          // 1 while a thread makes the region.
  std::atomic<uint32_t> region_failures{0};  // Calls for a region since one could not be made; 0: that did not happen.
  uint64_t capacity_bytes = 0;
  void* inherited_base = nullptr;  // After a fork: where the parent's region lay, and how far it was used.
  uint64_t inherited_used_bytes = 0;
  std::atomic<uint32_t> first_own_trace{0};         // Traces with a smaller Ref are a parent's.
  bool inherits_unknown_blocks = false;             // After a fork: the parent had dropped records.
  std::atomic<bool> has_unseen_blocks{false};       // A library was loaded that does not allocate through us.
  std::atomic<uint64_t> freed_inherited_blocks{0};  // Until there is a region that counts them.
  std::atomic<uint64_t> freed_inherited_bytes{0};
  std::atomic<uint64_t> early_loss[static_cast<unsigned>(LossKind::kCount)]{};  // The same.

  std::atomic<uint32_t> interval_shift{0};  // T now is options.sample_bytes << this.
  std::atomic<uint64_t> next_pressure_bytes{0};
  uint64_t base_seed = 0;
  size_t working_directory_bytes = 0;        // Of the stream's path, so much is where we started; 0: it was absolute.
  std::atomic<uint32_t> thread_count{0};     // Numbers threads, for seeds and shards.
  std::atomic<uint32_t> name_generation{1};  // Of the recording that thread names are numbered in.
  uint32_t pid = 0;
  uint64_t start_ticks = 0;  // Of that process (process_start_ticks); 0: not known yet.
  uint8_t recording_id[16] = {};
  bool has_recording_id = false;
  bool has_parent_recording = false;
  uint8_t parent_recording_id[16] = {};
  ProcessPage no_page{};  // Where there can be none.
  ProcessPage* process_page = &no_page;

  [[nodiscard]] Region region() const noexcept { return Region(region_base.load(std::memory_order_acquire)); }
  // What is remembered of loaded code is void from now on.
  void forget_loaded_code() noexcept {
    if (modules.next_generation() % RowCache::kGenerations == 0) rows.clear();
  }
  // The pages in [start, start + bytes) are none of the allocator's any more.
  void forget_heap(uintptr_t start, size_t bytes) noexcept {
    heap_pages.forget(start, bytes);
    live.by_address().forget(start, bytes);
  }
  // What a record stands for: itself in exact mode.
  [[nodiscard]] Weight weight_of(const LiveEntry& entry) const noexcept {
    if (options.exact()) return {1, static_cast<double>(entry.size_bytes), 0, 0};
    return sample_weight(entry.size_bytes, options.sample_bytes << entry.interval_shift);
  }
  [[nodiscard]] uint64_t sample_bytes_now() const noexcept {
    return options.sample_bytes << interval_shift.load(std::memory_order_relaxed);
  }
};

[[gnu::visibility("hidden")]] extern constinit Recording recording;

// Reads the options, sets up what needs no region. At the first slow path or in the constructor, whichever is first.
// False: nothing is recorded in this process (yet).
[[nodiscard]] bool prepare_recording() noexcept;

// The region, made if this is the first record. An invalid one where that fails.
[[nodiscard]] Region open_region() noexcept;

// Whether this runs in the process that the recording is of: a vfork child runs in its parent's memory. Where a sandbox
// forbids to ask, it does.
[[nodiscard]] bool is_own_process() noexcept;

// Where something is about to come after which no region could be made any more, and no memory taken: makes it, and
// takes what the first records need. A region that stays empty leaves nothing.
void make_region_ahead() noexcept;

// The host has limited its address space: gives back what the region keeps and does not need yet.
void give_back_address_space() noexcept;

// Leaves a stream that says why nothing is recorded here.
void leave_stub(uint32_t not_observed_reason, const char* detail) noexcept;

// In the child of a fork, before anything else runs there, if it can be: it must not write to its parent's region, nor
// may a hook that the fork interrupted. A signal handler may come first, and a fork that runs no handlers (raw clone)
// is noticed by whichever thread records next: true if it was here and now that the child left its parent's region.
// Takes no memory for tables; the child's own region is made at its first record.
[[nodiscard]] bool notice_fork() noexcept;
// The same where nobody can tell (a kernel before 4.14): by a fork handler, which is only called in a child.
[[nodiscard]] bool notice_fork_in_child() noexcept;

// Adds to the region's loss counters, or to those that wait for a region.
void count_loss(LossKind kind, uint64_t by = 1) noexcept;

// Nanoseconds since the recording began, by the coarse clock.
[[nodiscard]] uint64_t now_ns() noexcept;

// One line on stderr, from "seep: " to its end. Not repeated in children: only before the program's main.
void say(const char* part1, const char* part2 = "", const char* part3 = "", const char* part4 = "") noexcept;

}  // namespace seep
