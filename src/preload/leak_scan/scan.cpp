// SPDX-License-Identifier: Apache-2.0
//
// When there is a scan, and what becomes of its copy; see scan.h.
#include "preload/leak_scan/scan.h"

#include <signal.h>
#include <stdlib.h>

#include <new>

#include "preload/clock.h"
#include "preload/leak_scan/program_wishes.h"
#include "preload/leak_scan/scan_steps.h"
#include "preload/next_allocator.h"
#include "preload/recording.h"
#include "record/aside.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

// Of a scan on request: the longest that threads may be kept from going on while others are being stopped, each of
// which may have to wait for a processor first; and the longest that a copy may take, which disturbs nobody.
constexpr uint64_t kMostStopNs = 1'000'000'000, kMostCopyNs = 120'000'000'000;

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
  uint64_t blocked_by_host;
  bool copied = false;
  ScanFailure failure = ScanFailure::kNone;
};

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
  note_failure(region, facts, ScanFailure::kCopyDied);
  return true;
}

// A program that handles faults itself (a Java VM) protects pages as it likes. There a copy searches, also at the end:
// a fault ends nothing but the copy.
bool host_handles_faults() {
  uint64_t action[4] = {};  // The kernel's own struct sigaction; its handler is first.
  return !sys::failed(system_call(SYS_rt_sigaction, SIGSEGV, 0, sys::as_long(action), sizeof(uint64_t))) &&
         action[0] > 1;
}

void scan_at_exit_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  const uint64_t now = monotonic_ns(), limit_ns = recording.options.scan_limit_ns;
  Scan scan(*job.place, job.region, job.host, job.trigger);
  job.failure = scan.look(now + limit_ns / 4 * 3, job.blocked_by_host);
  if (job.failure != ScanFailure::kNone) return scan.fail(job.failure);
  if (host_handles_faults() && scan.judge_in(copy, now + limit_ns)) {
    number_in_copy.store(scan.number(), std::memory_order_relaxed);
    if (is_copy_done(copy.wait(now + limit_ns))) return;
    copy.end();
    (void)is_copy_done(copy.look());
    return;
  }
  job.failure = scan.judge(now + limit_ns);
}

void scan_on_request_job(void* argument) {
  Job& job = *static_cast<Job*>(argument);
  const uint64_t now = monotonic_ns(), limit_ns = recording.options.scan_limit_ns;
  Scan scan(*job.place, job.region, job.host, job.trigger);
  job.failure = scan.look(now + (limit_ns < kMostStopNs ? limit_ns : kMostStopNs), job.blocked_by_host);
  if (job.failure == ScanFailure::kNone) {
    job.copied = scan.judge_in(copy, now + kMostCopyNs);
    if (job.copied) number_in_copy.store(scan.number(), std::memory_order_relaxed);
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
  else call_on_stack(function, &job, place.stack + Workplace::kStackBytes);
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
  Job job{place, region, find_host(*place, host, 0), trigger, blocked.before()};
  run_on_stack_of(*place, scan_on_request_job, job);
  give_back(place);
  if (wait && job.copied) (void)is_copy_done(copy.wait(until_ns));
  end_scan();
  if (job.copied && !wait) return {true, ScanFailure::kNone, 0, 0};
  return reply_of(region, job.failure);
}

void scan_at_exit(const HostExit& host, uint64_t blocked_by_host) noexcept {
  const Region region = recording.region();
  if (!region.valid() || !begin_scan()) return;
  copy.end();  // What it would find is old.
  number_in_copy.store(0, std::memory_order_relaxed);
  Workplace* place = make_workplace();
  if (place == nullptr) return;
  at_exit.store(place, std::memory_order_relaxed);
  Job job{place, region, find_host(*place, host.registers, host.libc_frames), ScanTrigger::kExit, blocked_by_host};
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
  note_failure(recording.region(), state.results[standing - 1].facts, ScanFailure::kThreadsRanOn);
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

bool look_after_copy() noexcept {
  if (number_in_copy.load(std::memory_order_relaxed) == 0) return false;
  const sys::SignalsBlocked blocked;
  return is_copy_done(copy.look());
}

void wait_for_copy(uint64_t until_ns) noexcept {
  if (number_in_copy.load(std::memory_order_relaxed) != 0) (void)is_copy_done(copy.wait(until_ns));
}

void end_copy() noexcept { copy.end(); }

}  // namespace seep::leak_scan
