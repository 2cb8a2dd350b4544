// SPDX-License-Identifier: Apache-2.0
//
// Threads stopped by a signal, where ptrace is refused: a real-time signal that the host leaves at its default is sent
// to every thread, its handler notes the registers that it interrupted and waits. What it cannot do: a thread that
// blocks the signal, or is in a system call that no signal ends, runs on and is counted; some system calls of the host
// return EINTR (stop_blocking_calls_test.cpp prints which); the handler needs room on the thread's stack, or its
// alternate one.
//
// The signal's disposition is the host's own again afterwards. A child that another thread forks just before it stops
// keeps ours until it execs; nobody sends it.
//
// Runs inside the host: the thread that scans, and the handler on every other one. Both make system calls only.
#pragma once

#include <cstdint>

#include "preload/leak_scan/ptrace_stop.h"
#include "preload/leak_scan/stopped_threads.h"

namespace seep::leak_scan {

class SignalStop {
 public:
  constexpr explicit SignalStop(StoppedThreads& threads) : threads_(threads) {}

  // As PtraceStop's. `blocked_signals`: of the host on this thread, before all were blocked. One at a time in a
  // process.
  [[nodiscard]] StopOutcome stop(uint64_t deadline_ns, uint64_t blocked_signals) noexcept;
  void resume() noexcept;

  [[nodiscard]] bool settled() const noexcept { return settled_; }

 private:
  [[nodiscard]] bool take_signal(uint64_t blocked_signals) noexcept;
  void give_signal_back() noexcept;
  [[nodiscard]] bool stop_everyone() noexcept;
  void ask_from(uint32_t first) noexcept;
  void wait_for(StoppedThread& thread, uint64_t asked_ns) noexcept;
  [[nodiscard]] bool blocks(int32_t tid) const noexcept;

  StoppedThreads& threads_;
  uint64_t deadline_ns_ = 0;
  long host_pid_ = 0;
  long caller_tid_ = 0;
  int signal_ = 0;
  bool settled_ = false;
};

}  // namespace seep::leak_scan
