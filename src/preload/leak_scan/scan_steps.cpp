// SPDX-License-Identifier: Apache-2.0
//
// The steps of a scan; see scan_steps.h.
#include "preload/leak_scan/scan_steps.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "preload/clock.h"
#include "preload/leak_scan/judge.h"
#include "preload/leak_scan/moving_blocks.h"
#include "preload/leak_scan/root_regions.h"
#include "preload/next_allocator.h"
#include "preload/recording.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

ScanStop way_of(StopWay way) {
  switch (way) {
    case StopWay::kAlone: return ScanStop::kAlone;
    case StopWay::kPtrace: return ScanStop::kByPtrace;
    case StopWay::kSignal: return ScanStop::kBySignal;
    case StopWay::kNone: break;
  }
  return ScanStop::kNotStopped;
}

Range range_of(const dl_find_object& object) {
  return {reinterpret_cast<uint64_t>(object.dlfo_map_start), reinterpret_cast<uint64_t>(object.dlfo_map_end)};
}

}  // namespace

void note_failure(Region region, const ScanFacts& facts, ScanFailure why) noexcept {
  ScanState& state = region.header().scan;
  state.has_failed.store(0, std::memory_order_release);
  state.failed = facts;
  state.failed.failure = why;
  state.has_failed.store(1, std::memory_order_release);
}

Scan::Scan(Workplace& place, Region region, const Registers& host, ScanTrigger trigger) noexcept
    : place_(place), region_(region), host_(host), state_(region.header().scan), begun_ns_(monotonic_ns()) {
  facts_.number = state_.scans.fetch_add(1, std::memory_order_relaxed) + 1;
  facts_.trigger = trigger;
}

ScanFailure Scan::look(uint64_t stop_deadline_ns, uint64_t blocked_by_host) noexcept {
  if (!make_room()) return ScanFailure::kNoMemory;
  stopped_ns_ = monotonic_ns();
  const StopResult stopped = place_.stop.stop(stop_deadline_ns, {.blocked_by_host = &blocked_by_host}, &host_);
  facts_.time_ns = now_ns();
  facts_.stop = way_of(stopped.way);
  facts_.stopped_threads = stopped.stopped_threads;
  facts_.missed_threads = stopped.missed_threads;
  if (!stopped.everyone()) return ScanFailure::kThreadsRanOn;
  if (!make_room() || !fill_request()) return ScanFailure::kNoMemory;
  result_->facts = facts_;
  const RootsResult collected = place_.roots.collect(request_);
  if (collected == RootsResult::kNoMaps) return ScanFailure::kNoMaps;
  return collected == RootsResult::kDone ? ScanFailure::kNone : ScanFailure::kNoMemory;
}

ScanFailure Scan::judge(uint64_t deadline_ns) noexcept {
  const Evidence evidence{&place_.roots, &place_.stop.threads(), &place_.kept.ranges(), place_.allocator,
                          recording.options.heuristics};
  const ScanFailure failure = Judge(place_.memory, region_, evidence, *result_).run({deadline_ns});
  const uint64_t now = monotonic_ns();
  result_->facts.duration_ns = now - begun_ns_;
  if (facts_.in_copy == 0) result_->facts.pause_ns = now - stopped_ns_;  // In a copy its maker knows that.
  if (failure != ScanFailure::kNone) {
    note_failure(region_, result_->facts, failure);
    return failure;
  }
  state_.has_failed.store(0, std::memory_order_release);
  state_.standing.store(static_cast<uint32_t>(result_ - state_.results) + 1, std::memory_order_release);
  return failure;
}

bool Scan::judge_in(ProcessCopy& copy, uint64_t deadline_ns) noexcept {
  if (!can_be_copied() || !place_.kept.keep(fork_memory)) return false;
  deadline_ns_ = deadline_ns;
  facts_.in_copy = result_->facts.in_copy = 1;
  const auto in_copy = [](void* scan) {
    auto& self = *static_cast<Scan*>(scan);
    self.place_.kept.put_back();
    return static_cast<int>(self.judge(self.deadline_ns_));
  };
  if (copy.make(in_copy, this, place_.copy_stack + Workplace::kStackBytes, deadline_ns)) return true;
  facts_.in_copy = result_->facts.in_copy = 0;
  return false;
}

bool Scan::go_on() noexcept {
  const bool stood_still = place_.stop.resume();
  facts_.pause_ns = monotonic_ns() - stopped_ns_;
  if (result_ != nullptr) result_->facts.pause_ns = facts_.pause_ns;
  return stood_still;
}

void Scan::fail(ScanFailure why) noexcept {
  facts_.duration_ns = monotonic_ns() - begun_ns_;
  note_failure(region_, facts_, why);
}

// What the copy writes must be in memory that is shared with it.
bool Scan::can_be_copied() const noexcept {
  const RegionHeader& header = region_.header();
  return header.identity.region_path[0] != '\0' && header.private_from_bytes.load(std::memory_order_relaxed) == 0 &&
         !fork_memory.overflowed();
}

// The result that does not stand, with room for every trace.
bool Scan::make_room() noexcept {
  ScanResult& result = state_.results[state_.standing.load(std::memory_order_relaxed) == 1 ? 1 : 0];
  const uint32_t traces = region_.header().trace_count.load(std::memory_order_acquire);
  if (result.capacity < traces) {
    const uint32_t capacity = traces + traces / 8 + 64;  // For those that come before all threads stand still.
    const Ref verdicts = region_.allocate(capacity * sizeof(TraceVerdicts));
    if (verdicts == 0) return false;
    result.verdicts = verdicts;
    result.capacity = capacity;
  }
  result_ = &result;
  return true;
}

// Our own frames hold addresses of any blocks, as they look through tables, and a host's function that calls one of
// ours keeps nothing that it needs but on its stack and in the registers that a call preserves.
void Scan::pass_over_own_frames(StoppedThread& thread) noexcept {
  if (!recording.unwinder.skips(thread.registers.value[kDwarfReturnAddress])) return;
  Registers host = thread.registers;
  ThreadState nobody{};
  const Walk walk = recording.unwinder.walk(host, nobody, place_.walk, nullptr, 0);
  if (walk.cut == Cut::kDepthLimit) thread.pass_over(host, value_in_thread(thread, offsetof(ThreadState, in_hand)));
}

bool Scan::add_threads() noexcept {
  StoppedThreads& threads = place_.stop.threads();
  place_.threads.clear();
  for (uint32_t i = 0; i < threads.size(); ++i) {
    if (!threads[i].stands_still()) continue;
    const bool is_itself = threads[i].state.load(std::memory_order_relaxed) == StopState::kItself;
    if (!is_itself) pass_over_own_frames(threads[i]);
    const LiveThread thread{static_cast<uint32_t>(threads[i].tid), threads[i].sp, threads[i].thread_pointer,
                            is_itself || threads[i].in_call};
    if (!place_.threads.add(thread)) return false;
  }
  return true;
}

bool Scan::add_regions() noexcept {
  place_.regions.clear();
  bool noted = true;
  root_regions.each([&](uint64_t start, uint64_t end) { noted = noted && place_.regions.add({start, end}); });
  if (!noted) return false;
  return !recording.options.exact() ||
         find_moving_blocks(place_.stop.threads(), !place_.allocator.is_empty(), place_.regions);
}

// The recording, and libseep.so without the blocks in it that are the host's.
bool Scan::add_own() noexcept {
  const auto base = reinterpret_cast<uint64_t>(&region_.header());
  place_.own.clear();
  if (!place_.own.add({base, base + region_.header().capacity_bytes.load(std::memory_order_relaxed)})) return false;
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(&find_next_allocator), &object) != 0) return true;
  const Range self = range_of(object);
  const BootstrapArena arena = bootstrap_arena();
  return place_.own.add({self.start, arena.start}) && place_.own.add({arena.end, self.end});
}

// Else what is in none of them may be an unknown one that holds others.
bool Scan::knows_all_blocks() const noexcept {
  return !recording.inherits_unknown_blocks && !recording.has_unseen_blocks.load(std::memory_order_relaxed) &&
         dropped_records(region_.header()) == 0;
}

bool Scan::fill_request() noexcept {
  find_allocator();
  // The regions first: a block that is being moved is found in frames of ours, which are passed over then.
  if (!add_regions() || !add_threads() || !add_own()) return false;
  request_ = {};
  request_.threads = place_.threads.data();
  request_.thread_count = place_.threads.size();
  request_.tid = static_cast<uint32_t>(system_call(SYS_gettid));
  request_.regions = place_.regions.data();
  request_.region_count = place_.regions.size();
  request_.own = place_.own.data();
  request_.own_count = place_.own.size();
  request_.own_tls_offset = static_cast<int64_t>(reinterpret_cast<uint64_t>(&thread_state) - thread_pointer());
  request_.own_tls_bytes = sizeof thread_state;
  const bool exact = recording.options.exact();
  if (exact && knows_all_blocks()) request_.heap_pages = &recording.heap_pages;
  facts_.heap_as_roots = exact && request_.heap_pages == nullptr ? 1 : 0;
  return true;
}

void Scan::find_allocator() noexcept {
  dl_find_object object;
  const auto address = reinterpret_cast<void*>(next.malloc);
  if (!same_object(address, reinterpret_cast<const void*>(&on_exit))) return;  // Not libc's.
  if (_dl_find_object(address, &object) == 0) place_.allocator = range_of(object);
}

}  // namespace seep::leak_scan
