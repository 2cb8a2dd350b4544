// SPDX-License-Identifier: Apache-2.0
//
// One scan from the stop to the verdict; see scan.h.
#include "preload/leak_scan/scan.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <new>

#include "preload/clock.h"
#include "preload/leak_scan/judge.h"
#include "preload/leak_scan/kept_memory.h"
#include "preload/leak_scan/moving_blocks.h"
#include "preload/leak_scan/process_copy.h"
#include "preload/leak_scan/program_wishes.h"
#include "preload/leak_scan/root_regions.h"
#include "preload/leak_scan/stop_threads.h"
#include "preload/next_allocator.h"
#include "preload/recorder.h"
#include "preload/recording.h"
#include "record/aside.h"
#include "record/system.h"
#include "record/trace_table.h"

namespace seep::leak_scan {
namespace {

constexpr size_t kStackBytes = 128 << 10;
// Of a scan on request: the longest that threads may be kept from going on while others are being stopped, each of
// which may have to wait for a processor first; and the longest that a copy may take, which disturbs nobody.
constexpr uint64_t kMostStopNs = 1'000'000'000, kMostCopyNs = 120'000'000'000;

// Everything that one scan needs, taken when it begins and given back at its end.
struct Workplace {
  explicit Workplace(PrivateMemory& memory) noexcept
      : stop(memory), roots(memory), threads(memory), regions(memory), own(memory), kept(memory) {}

  ThreadStop stop;
  RootSet roots;
  GrowingArray<LiveThread> threads;
  GrowingArray<Range> regions, own;
  KeptMemory kept;
  Range allocator{};
  WalkScratch walk;
  alignas(64) char stack[kStackBytes];
  alignas(64) char copy_stack[kStackBytes];  // Of the copy, should there be one.
};

constinit std::atomic<uint32_t> scanning_pid{0};  // One at a time. Of a parent's before a fork: nobody's.
constinit std::atomic<Workplace*> at_exit{nullptr};
constinit std::atomic<uint32_t> no_scan_at_exit_pid{0};  // Of the process that wants none; not of its children.
constinit ProcessCopy copy;

// What the copy is to write, for when it dies.
constinit std::atomic<uint32_t> number_in_copy{0};

void ask_for_suppressions(Region region) {
  ScanState& state = region.header().scan;
  copy_default_suppressions(state.default_suppressions, sizeof state.default_suppressions);
}

bool begin_scan() {
  const uint32_t pid = recording.pid;
  uint32_t other = scanning_pid.load(std::memory_order_relaxed);
  return other != pid && scanning_pid.compare_exchange_strong(other, pid, std::memory_order_acquire);
}
void end_scan() { scanning_pid.store(0, std::memory_order_release); }

void make_failed(Region region, const ScanFacts& facts, ScanFailure why) {
  ScanState& state = region.header().scan;
  state.has_failed.store(0, std::memory_order_release);
  state.failed = facts;
  state.failed.failure = why;
  state.has_failed.store(1, std::memory_order_release);
}

// One scan, on a stack of its own.
class Scan {
 public:
  Scan(Workplace& place, Region region, const Registers& host, ScanTrigger trigger) noexcept
      : place_(place), region_(region), host_(host), state_(region.header().scan), begun_ns_(monotonic_ns()) {
    facts_.number = state_.scans.fetch_add(1, std::memory_order_relaxed) + 1;
    facts_.trigger = trigger;
  }

  // Stops the threads and notes all that must be seen while they stand still. kNone: they stand still.
  [[nodiscard]] ScanFailure look(uint64_t stop_deadline_ns) noexcept {
    if (!make_room()) return ScanFailure::kNoMemory;
    stopped_ns_ = monotonic_ns();
    const StopResult stopped = place_.stop.stop(stop_deadline_ns, {}, &host_);
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

  // Lets the threads go on. False: they had done so before.
  bool go_on() noexcept {
    const bool stood_still = place_.stop.resume();
    facts_.pause_ns = monotonic_ns() - stopped_ns_;
    if (result_ != nullptr) result_->facts.pause_ns = facts_.pause_ns;
    return stood_still;
  }

  // Marks, and lets the verdicts stand.
  ScanFailure judge(uint64_t deadline_ns) noexcept {
    const Evidence evidence{&place_.roots, &place_.stop.threads(), &place_.kept.ranges(), place_.allocator,
                            recording.options.heuristics};
    const ScanFailure failure = Judge(recording.memory, region_, evidence, *result_).run({deadline_ns});
    const uint64_t now = monotonic_ns();
    result_->facts.duration_ns = now - begun_ns_;
    if (facts_.in_copy == 0) result_->facts.pause_ns = now - stopped_ns_;  // In a copy its maker knows that.
    if (failure != ScanFailure::kNone) {
      make_failed(region_, result_->facts, failure);
      return failure;
    }
    state_.has_failed.store(0, std::memory_order_release);
    state_.standing.store(static_cast<uint32_t>(result_ - state_.results) + 1, std::memory_order_release);
    return failure;
  }

  void fail(ScanFailure why) noexcept {
    facts_.duration_ns = monotonic_ns() - begun_ns_;
    make_failed(region_, facts_, why);
  }

  // Whether the rest can be done in a copy: what it writes must be in memory that is shared with it.
  [[nodiscard]] bool can_be_copied() const noexcept {
    const RegionHeader& header = region_.header();
    return header.identity.region_path[0] != '\0' && header.private_from_bytes.load(std::memory_order_relaxed) == 0 &&
           !fork_memory.overflowed();
  }

  [[nodiscard]] bool copy_and_judge(uint64_t deadline_ns) noexcept {
    if (!place_.kept.keep(fork_memory)) return false;
    deadline_ns_ = deadline_ns;
    facts_.in_copy = result_->facts.in_copy = 1;
    number_in_copy.store(facts_.number, std::memory_order_relaxed);
    const auto in_copy = [](void* scan) {
      auto& self = *static_cast<Scan*>(scan);
      self.place_.kept.put_back();
      return static_cast<int>(self.judge(self.deadline_ns_));
    };
    if (copy.make(in_copy, this, place_.copy_stack + kStackBytes, deadline_ns)) return true;
    facts_.in_copy = result_->facts.in_copy = 0;
    return false;
  }

  [[nodiscard]] const ScanFacts& facts() const noexcept { return facts_; }

 private:
  static ScanStop way_of(StopWay way) noexcept {
    switch (way) {
      case StopWay::kAlone: return ScanStop::kAlone;
      case StopWay::kPtrace: return ScanStop::kByPtrace;
      case StopWay::kSignal: return ScanStop::kBySignal;
      case StopWay::kNone: break;
    }
    return ScanStop::kNotStopped;
  }

  // The result that does not stand, with room for every trace.
  bool make_room() noexcept {
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

  [[nodiscard]] bool fill_request() noexcept;
  [[nodiscard]] bool add_threads() noexcept;
  [[nodiscard]] bool add_regions() noexcept;
  [[nodiscard]] bool add_own() noexcept;
  [[nodiscard]] bool knows_all_blocks() const noexcept;

  Workplace& place_;
  const Region region_;
  const Registers host_;
  ScanState& state_;
  const uint64_t begun_ns_;
  uint64_t stopped_ns_ = 0;
  uint64_t deadline_ns_ = 0;
  ScanResult* result_ = nullptr;
  ScanFacts facts_{};
  RootRequest request_;
};

bool Scan::add_threads() noexcept {
  const StoppedThreads& threads = place_.stop.threads();
  place_.threads.clear();
  for (uint32_t i = 0; i < threads.size(); ++i) {
    if (!threads[i].stands_still()) continue;
    const bool is_itself = threads[i].state.load(std::memory_order_relaxed) == StopState::kItself;
    const LiveThread thread{static_cast<uint32_t>(threads[i].tid), threads[i].sp, threads[i].thread_pointer, is_itself};
    if (!place_.threads.add(thread)) return false;
  }
  return true;
}

bool Scan::add_regions() noexcept {
  place_.regions.clear();
  bool noted = true;
  root_regions.each([&](uint64_t start, uint64_t end) { noted = noted && place_.regions.add({start, end}); });
  if (!noted) return false;
  return !recording.options.exact() || find_moving_blocks(place_.stop.threads(), place_.regions);
}

// The recording, and libseep.so without the blocks in it that are the host's.
bool Scan::add_own() noexcept {
  const auto base = reinterpret_cast<uint64_t>(&region_.header());
  place_.own.clear();
  if (!place_.own.add({base, base + region_.header().capacity_bytes.load(std::memory_order_relaxed)})) return false;
  dl_find_object object;
  if (_dl_find_object(reinterpret_cast<void*>(&find_next_allocator), &object) != 0) return true;
  const Range self{reinterpret_cast<uint64_t>(object.dlfo_map_start), reinterpret_cast<uint64_t>(object.dlfo_map_end)};
  const BootstrapArena arena = bootstrap_arena();
  return place_.own.add({self.start, arena.start}) && place_.own.add({arena.end, self.end});
}

// Else what is in none of them may be an unknown one that holds others.
bool Scan::knows_all_blocks() const noexcept {
  const RegionHeader& header = region_.header();
  uint64_t dropped = 0;
  for (const LossKind kind :
       {LossKind::kLiveTableFull, LossKind::kRegionFull, LossKind::kNested, LossKind::kNoRegion}) {
    dropped += header.loss[static_cast<unsigned>(kind)].load(std::memory_order_relaxed);
  }
  return dropped == 0;
}

bool Scan::fill_request() noexcept {
  if (!add_threads() || !add_regions() || !add_own()) return false;
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
  dl_find_object libc;
  const auto malloc_address = reinterpret_cast<void*>(next.malloc);
  const bool is_libcs = same_object(malloc_address, reinterpret_cast<const void*>(&on_exit));
  if (is_libcs && _dl_find_object(malloc_address, &libc) == 0) {
    place_.allocator = {reinterpret_cast<uint64_t>(libc.dlfo_map_start), reinterpret_cast<uint64_t>(libc.dlfo_map_end)};
  }
  return true;
}

// The registers as the host's own code left them, where our frames, and `libc_frames` above them, are passed over.
Registers find_host(Workplace& place, const Registers& here, unsigned libc_frames) {
  constexpr unsigned kMostFrames = 2;
  uintptr_t pcs[kMostFrames];
  Registers host = here;
  const Walk walk = recording.unwinder.walk(host, thread_state, place.walk, pcs, libc_frames);
  bool expected = walk.cut == Cut::kDepthLimit;
  for (uint32_t i = 0; i < walk.count && expected; ++i) {
    expected = same_object(reinterpret_cast<const void*>(pcs[i]), reinterpret_cast<const void*>(&on_exit));
  }
  return expected ? host : here;
}

Workplace* make_workplace() {
  void* memory = recording.memory.take(sizeof(Workplace));
  return memory == nullptr ? nullptr : new (memory) Workplace(recording.memory);
}

void give_back(Workplace* place) {
  place->~Workplace();
  recording.memory.give_back(place, sizeof(Workplace));
}

struct Job {
  Workplace* place;
  Region region;
  Registers host;
  ScanTrigger trigger;
  bool copied = false;
  ScanFailure failure = ScanFailure::kNone;
};

void scan_at_exit_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  const uint64_t now = monotonic_ns(), limit_ns = recording.options.scan_limit_ns;
  Scan scan(*job.place, job.region, job.host, job.trigger);
  job.failure = scan.look(now + limit_ns / 2);
  if (job.failure != ScanFailure::kNone) scan.fail(job.failure);
  else job.failure = scan.judge(now + limit_ns);
}

void scan_on_request_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  const uint64_t now = monotonic_ns(), limit_ns = recording.options.scan_limit_ns;
  Scan scan(*job.place, job.region, job.host, job.trigger);
  job.failure = scan.look(now + (limit_ns < kMostStopNs ? limit_ns : kMostStopNs));
  if (job.failure == ScanFailure::kNone) {
    job.copied = scan.can_be_copied() && scan.copy_and_judge(now + kMostCopyNs);
    if (!job.copied) job.failure = scan.judge(now + limit_ns);
  } else {
    scan.fail(job.failure);
  }
  if (scan.go_on() || job.failure != ScanFailure::kNone) return;
  if (job.copied) copy.end();
  job.copied = false;
  job.failure = ScanFailure::kThreadsRanOn;
  job.region.header().scan.standing.store(0, std::memory_order_release);
  scan.fail(job.failure);
}

// Whether the copy that ran last has come to an end. If it did without a word, that is said for it.
bool is_copy_done(CopyEnd end) {
  if (end.state == CopyState::kRuns) return false;
  const uint32_t number = number_in_copy.exchange(0, std::memory_order_acq_rel);
  const Region region = recording.region();
  if (number == 0 || !region.valid() || end.state == CopyState::kNone) return true;
  ScanState& state = region.header().scan;
  const uint32_t standing = state.standing.load(std::memory_order_acquire);
  const bool stands = standing != 0 && state.results[standing - 1].facts.number == number;
  const bool failed = state.has_failed.load(std::memory_order_acquire) != 0 && state.failed.number == number;
  if (stands || failed) return true;
  ScanFacts facts{};
  facts.number = number;
  facts.in_copy = 1;
  facts.time_ns = now_ns();
  make_failed(region, facts, ScanFailure::kCopyDied);
  return true;
}

ScanReply reply_of(Region region, ScanFailure failure) {
  ScanState& state = region.header().scan;
  const uint32_t standing = state.standing.load(std::memory_order_acquire);
  ScanReply reply{};
  reply.why = failure;
  if (failure == ScanFailure::kNone && state.has_failed.load(std::memory_order_acquire) != 0) {
    reply.why = state.failed.failure;
  }
  reply.done = reply.why == ScanFailure::kNone && standing != 0;
  if (!reply.done) return reply;
  const ScanResult& result = state.results[standing - 1];
  const auto* verdicts = region.at<TraceVerdicts>(result.verdicts);
  for (uint32_t i = 0; i < result.capacity; ++i) {
    reply.definite_blocks += verdicts[i].blocks[static_cast<unsigned>(VerdictClass::kDefinite)];
    reply.definite_bytes += verdicts[i].bytes[static_cast<unsigned>(VerdictClass::kDefinite)];
  }
  return reply;
}

void run_on_stack_of(Workplace& place, void (*function)(void*), Job& job) {
  if (kUnderThreadSanitizer) function(&job);
  else call_on_stack(function, &job, place.stack + kStackBytes);
}

}  // namespace

ScanReply scan_on_request(const Registers& host, ScanTrigger trigger, bool wait) noexcept {
  const Region region = recording.region();
  const bool wanted = recording.options.scan != Options::Scan::kOff && region.valid() && is_own_process();
  if (!wanted || !begin_scan()) return {};
  if (trigger != ScanTrigger::kSignal) ask_for_suppressions(region);
  const sys::SignalsBlocked blocked;
  const uint64_t until_ns = wait ? monotonic_ns() + kMostCopyNs : 0;
  Workplace* place = is_copy_done(wait ? copy.wait(until_ns) : copy.look()) ? make_workplace() : nullptr;
  if (place == nullptr) {
    end_scan();
    return {};
  }
  Job job{place, region, find_host(*place, host, 0), trigger};
  run_on_stack_of(*place, scan_on_request_job, job);
  give_back(place);
  if (wait && job.copied) (void)is_copy_done(copy.wait(until_ns));
  end_scan();
  if (job.copied && !wait) return {true, ScanFailure::kNone, 0, 0};
  return reply_of(region, job.failure);
}

void scan_at_exit(const HostExit& host) noexcept {
  const Region region = recording.region();
  if (!region.valid() || !begin_scan()) return;
  copy.end();  // What it would find is old.
  number_in_copy.store(0, std::memory_order_relaxed);
  Workplace* place = make_workplace();
  if (place == nullptr) return;
  at_exit.store(place, std::memory_order_relaxed);
  Job job{place, region, find_host(*place, host.registers, host.libc_frames), ScanTrigger::kExit};
  run_on_stack_of(*place, scan_at_exit_job, job);
}

bool let_go() noexcept {
  Workplace* place = at_exit.exchange(nullptr, std::memory_order_relaxed);
  const bool stood_still = place == nullptr || place->stop.resume();
  end_scan();
  if (stood_still) return true;
  ScanState& state = recording.region().header().scan;
  const uint32_t standing = state.standing.exchange(0, std::memory_order_acq_rel);
  if (standing == 0) return true;
  make_failed(recording.region(), state.results[standing - 1].facts, ScanFailure::kThreadsRanOn);
  return false;
}

void forgo_scan_at_exit() noexcept { no_scan_at_exit_pid.store(recording.pid, std::memory_order_relaxed); }

bool wants_scan_at_exit() noexcept {
  const Region region = recording.region();
  if (recording.options.scan != Options::Scan::kExit || !region.valid()) return false;
  if (no_scan_at_exit_pid.load(std::memory_order_relaxed) == recording.pid || is_turned_off()) return false;
  ask_for_suppressions(region);
  return true;
}

void look_after_copy() noexcept {
  if (number_in_copy.load(std::memory_order_relaxed) == 0) return;
  const sys::SignalsBlocked blocked;
  (void)is_copy_done(copy.look());
}

void wait_for_copy(uint64_t until_ns) noexcept {
  if (number_in_copy.load(std::memory_order_relaxed) != 0) (void)is_copy_done(copy.wait(until_ns));
}

void end_copy() noexcept { copy.end(); }

}  // namespace seep::leak_scan
