// SPDX-License-Identifier: Apache-2.0
//
// The choice of the way; see stop_threads.h.
#include "preload/leak_scan/stop_threads.h"

#include "preload/leak_scan/thread_list.h"
#include "record/aside.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

constexpr long kSetMask = 2;  // SIG_SETMASK

// Two that stopped each other would wait for ever. Its pid: a child that was forked meanwhile is free to stop.
constinit std::atomic<long> stopping_pid{0};

bool begin_alone() noexcept {
  const long pid = sys::process_id();
  long other = stopping_pid.load(std::memory_order_relaxed);
  return other != pid && stopping_pid.compare_exchange_strong(other, pid, std::memory_order_acquire);
}

// True where that is certain.
bool is_alone() noexcept {
  const long pid = sys::process_id(), caller = system_call(SYS_gettid);
  bool here = false, others = false;
  ThreadListing listing{};
  const bool called = call_aside([&] {
    const long own = system_call(SYS_gettid);
    listing = for_each_thread(pid, [&](int32_t tid) {
      here = here || tid == caller;
      others = others || (tid != caller && tid != own);
    });
  });
  return called && listing.readable && listing.complete && here && !others;
}

bool yama_is_here() noexcept {
  struct stat status;
  return !sys::failed(sys::status("/proc/sys/kernel/yama/ptrace_scope", &status));
}

}  // namespace

__attribute__((noinline)) StopResult ThreadStop::stop(uint64_t deadline_ns, StopOptions options,
                                                      const Registers* itself) noexcept {
  Registers registers;
  capture_registers(registers);
  result_ = {};
  if (!begin_alone()) return result_;
  const uint64_t all = ~uint64_t{0};
  system_call(SYS_rt_sigprocmask, kSetMask, sys::as_long(&all), sys::as_long(&blocked_signals_), sizeof all);
  result_.way = try_ways(deadline_ns, options);
  result_.settled = result_.way == StopWay::kAlone || (result_.way == StopWay::kPtrace && by_ptrace_.settled()) ||
                    (result_.way == StopWay::kSignal && by_signal_.settled());
  if (result_.way == StopWay::kNone) {
    static_cast<void>(resume());
    return result_;
  }
  result_.stopped_threads = threads_.count(StopState::kStopped);
  result_.missed_threads = threads_.count(StopState::kMissed);
  if (!add_itself(itself == nullptr ? registers : *itself)) ++result_.missed_threads;
  return result_;
}

bool ThreadStop::resume() noexcept {
  const bool stood_still = result_.way != StopWay::kPtrace || by_ptrace_.resume();
  if (result_.way == StopWay::kSignal) by_signal_.resume();
  result_.way = StopWay::kNone;
  system_call(SYS_rt_sigprocmask, kSetMask, sys::as_long(&blocked_signals_), 0, sizeof blocked_signals_);
  stopping_pid.store(0, std::memory_order_release);
  return stood_still;
}

StopWay ThreadStop::try_ways(uint64_t deadline_ns, StopOptions options) noexcept {
  threads_.clear();
  if (is_alone()) return StopWay::kAlone;
  if (options.by_ptrace && try_ptrace(deadline_ns, options)) return StopWay::kPtrace;
  const uint64_t blocked = options.blocked_by_host == nullptr ? blocked_signals_ : *options.blocked_by_host;
  if (options.by_signal && by_signal_.stop(deadline_ns, blocked) == StopOutcome::kDone) {
    return StopWay::kSignal;
  }
  threads_.clear();
  return StopWay::kNone;
}

bool ThreadStop::try_ptrace(uint64_t deadline_ns, StopOptions options) noexcept {
  if (by_ptrace_.stop(deadline_ns, false) == StopOutcome::kDone) return true;
  return options.may_declare_tracer && yama_is_here() && by_ptrace_.stop(deadline_ns, true) == StopOutcome::kDone;
}

// The vector registers hold nothing across a call that the caller would still want.
bool ThreadStop::add_itself(const Registers& registers) noexcept {
  StoppedThread* thread = threads_.add(static_cast<int32_t>(system_call(SYS_gettid)));
  if (thread == nullptr) return false;
  thread->sp = registers.value[kDwarfStackPointer];
  thread->thread_pointer = thread_pointer();
  for (unsigned i = 0; i < kDwarfRegisters; ++i) {
    if (registers.has(i)) thread->keep_general(registers.value[i]);
  }
  thread->keep_general(thread->thread_pointer);
  thread->state.store(StopState::kItself, std::memory_order_release);
  return true;
}

}  // namespace seep::leak_scan
