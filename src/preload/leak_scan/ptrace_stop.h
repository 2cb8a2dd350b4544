// SPDX-License-Identifier: Apache-2.0
//
// Threads stopped by ptrace: from outside, wherever they are, whatever they block, and most of them never learn of it.
// A thread cannot trace its own process, so a helper does: a child of the host's in the same memory, made by a raw
// clone, with a stack of ours, no descriptor, all signals blocked and an exit signal of none, so that neither SIGCHLD
// nor a wait(2) of the host's tells of it, unless another thread waits with __WALL or __WCLONE in the microseconds
// between its birth and our stop, or between our resume and our own wait for it. It dies with the thread that made it;
// the kernel lets go of what a dead tracer has stopped.
//
// Runs inside the host: the thread that scans, and the helper. Both make system calls only. Must never leave a thread
// stopped, and never change whether the host can be dumped.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/leak_scan/stopped_threads.h"

namespace seep::leak_scan {

enum class StopOutcome { kDone, kRefused };

class PtraceStop {
 public:
  constexpr PtraceStop(PrivateMemory& memory, StoppedThreads& threads) : memory_(memory), threads_(threads) {}

  // Stops all other threads, as far as that can be had until the deadline (of CLOCK_MONOTONIC). Refused: nothing is
  // stopped. All signals must be blocked. With `declare`, the helper is declared the host's tracer (PR_SET_PTRACER), as
  // the Yama security module wants it; what the host had declared itself is forgotten.
  [[nodiscard]] StopOutcome stop(uint64_t deadline_ns, bool declare) noexcept;
  // Every thread goes on. False: some of them did earlier, since the helper was killed.
  [[nodiscard]] bool resume() noexcept;

  // After a stop: there was no end to new threads before the deadline, or not all could be listed.
  [[nodiscard]] bool settled() const noexcept { return settled_; }

 private:
  enum Phase : uint32_t { kBorn, kStopping, kStopped, kRefused, kResuming, kResumed };

  [[nodiscard]] bool start_helper(bool declare) noexcept;
  [[nodiscard]] bool helper_has_ended() noexcept;
  void end_helper() noexcept;

  // In the helper.
  void help() noexcept;
  void become_helper() noexcept;
  [[nodiscard]] bool stop_everyone() noexcept;
  [[nodiscard]] bool seize(int32_t tid) noexcept;
  void collect_from(uint32_t first) noexcept;
  void collect(StoppedThread& thread) noexcept;
  void read_registers(StoppedThread& thread) noexcept;
  void listen_again() noexcept;
  void let_go() noexcept;
  void enter(Phase phase) noexcept;

  PrivateMemory& memory_;
  StoppedThreads& threads_;
  void* stack_ = nullptr;
  std::atomic<uint32_t> phase_{kResumed};
  long host_pid_ = 0;
  long caller_tid_ = 0;
  long helper_pid_ = 0;
  uint64_t deadline_ns_ = 0;
  bool settled_ = false;
};

}  // namespace seep::leak_scan
