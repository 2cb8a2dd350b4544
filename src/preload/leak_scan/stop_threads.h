// SPDX-License-Identifier: Apache-2.0
//
// All other threads of the process stand still, and we know their registers: by ptrace, else by a signal, else not.
// Between stop and resume the caller may make system calls and nothing else: any lock of libc's, the loader's or the
// host's may be held by a thread that stands still. All signals are blocked on it meanwhile.
//
// What is not stopped: processes that share the memory without being threads (a child of vfork(2) until it execs).
// Runs inside the host, any thread, signal handlers; one stop at a time. Must never leave a thread stopped.
#pragma once

#include <cstdint>

#include "preload/leak_scan/ptrace_stop.h"
#include "preload/leak_scan/signal_stop.h"
#include "preload/leak_scan/stopped_threads.h"
#include "processor/processor.h"

namespace seep::leak_scan {

enum class StopWay : uint8_t {
  kNone,   // Nothing is stopped, and we do not know what runs.
  kAlone,  // There is no other thread.
  kPtrace,
  kSignal,
};

struct StopResult {
  StopWay way;
  bool settled;  // False: there may be threads that we do not know of.
  uint32_t stopped_threads;
  uint32_t missed_threads;  // That are known to run on.

  // Otherwise nothing can be said of a block to which no pointer was found.
  [[nodiscard]] bool everyone() const noexcept { return way != StopWay::kNone && settled && missed_threads == 0; }
};

struct StopOptions {
  bool by_ptrace = true;
  bool by_signal = true;
  // Where the Yama module asks for it, PR_SET_PTRACER may be called, which replaces what the host declared itself.
  bool may_declare_tracer = true;
  // The signals that the host itself blocks in the calling thread, where the caller has blocked all before; null: those
  // that are blocked now. A signal that somebody waits for is not taken.
  const uint64_t* blocked_by_host = nullptr;
};

class ThreadStop {
 public:
  constexpr explicit ThreadStop(PrivateMemory& memory)
      : threads_(memory), by_ptrace_(memory, threads_), by_signal_(threads_) {}
  ~ThreadStop() {
    if (result_.way != StopWay::kNone) static_cast<void>(resume());
  }
  ThreadStop(const ThreadStop&) = delete;
  ThreadStop& operator=(const ThreadStop&) = delete;

  // Takes until the deadline (of CLOCK_MONOTONIC) at the longest, and a fifth of a second more where a helper hangs.
  // Way kNone: there is nothing to resume. `itself`: the registers that count for the calling thread; null: those of
  // now.
  StopResult stop(uint64_t deadline_ns, StopOptions options = {}, const Registers* itself = nullptr) noexcept;

  // False: threads went on earlier (somebody killed the helper), and what was read since is worth nothing.
  [[nodiscard]] bool resume() noexcept;

  // The calling thread is the last one (StopState::kItself), and those that have ended or were missed are here too.
  // Valid until the next stop.
  [[nodiscard]] const StoppedThreads& threads() const noexcept { return threads_; }
  [[nodiscard]] StoppedThreads& threads() noexcept { return threads_; }

 private:
  [[nodiscard]] StopWay try_ways(uint64_t deadline_ns, StopOptions options) noexcept;
  [[nodiscard]] bool try_ptrace(uint64_t deadline_ns, StopOptions options) noexcept;
  [[nodiscard]] bool add_itself(const Registers& registers) noexcept;

  StoppedThreads threads_;
  PtraceStop by_ptrace_;
  SignalStop by_signal_;
  StopResult result_{};
  uint64_t blocked_signals_ = 0;
};

}  // namespace seep::leak_scan
