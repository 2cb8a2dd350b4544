// SPDX-License-Identifier: Apache-2.0
//
// A copy of the process that scans while the host goes on: a raw clone with copy-on-write memory and one thread. The
// host must not notice it:
//
//     wait(2), SIGCHLD      its exit signal is none: no wait of the host's finds it, unless with __WALL or __WCLONE
//     process group         it leaves the host's: what is sent to the group does not reach it, nor does it make SIGCHLD
//                           of a stop (which the kernel sends for any child); who counts the group does not count it
//     signal handlers       all signals are blocked but one, which has a handler of ours; a crash ends it, without core
//     pipes, locks, files   it leaves the table of descriptors before it does anything, with nothing
//     out of memory         it is the first to be killed (oom_score_adj)
//     priority              the host's, but never a realtime one
//     a debugger            is not told of it (CLONE_UNTRACED)
//
// It looks each 20 ms whether the host still lives and whether its time is over, and ends itself. Not PR_SET_PDEATHSIG:
// that kills when the *thread* ends that asked for the scan. In ps(1) it is the host's child seep-scan. The processor
// time that it took is, once it is reaped, in the host's RUSAGE_CHILDREN.
//
// Runs inside the host, any thread, signal handlers; and in the copy. System calls only, so that it works while other
// threads stand still. Must never wait for or signal a process that is not ours.
#pragma once

#include <atomic>
#include <cstdint>

namespace seep::leak_scan {

enum class CopyState : uint8_t {
  kNone,  // None was made, or by a process that we are a fork of.
  kRuns,
  kEnded,  // The function has returned.
  kDied,   // It was killed: by its deadline, a crash, the kernel for want of memory, anybody.
  kTaken,  // It has ended, and the host has taken it off the kernel's list (wait with __WALL): nobody knows how.
};

struct CopyEnd {
  CopyState state;
  int code;  // kEnded: what the function returned, its lowest 8 bits; kDied: the signal. Else 0.
};

class ProcessCopy {
 public:
  constexpr ProcessCopy() = default;
  ProcessCopy(const ProcessCopy&) = delete;
  ProcessCopy& operator=(const ProcessCopy&) = delete;

  // Makes a copy that calls function(argument) on the stack that ends at `stack_top` (aligned to 16; of the copy's own
  // memory then, so that it may be anything here that stays mapped meanwhile; 16 KiB more than the function needs) and
  // ends with what that returns. The function has until the deadline (of CLOCK_MONOTONIC, not 0), then it is killed;
  // files that it opens, and what it changes in memory that is not shared, are the copy's own. One caller at a time,
  // with all signals blocked. Takes as long as the kernel copies page tables: some 10 ms for each GB of 4 KiB pages.
  //
  // False: one is still running; a sandbox, RLIMIT_NPROC or the cgroup's pids.max, memory, or Linux before 5.9.
  [[nodiscard]] bool make(int (*function)(void*), void* argument, void* stack_top, uint64_t deadline_ns) noexcept;

  // How it stands; one that has ended is taken off the kernel's list. Returns at once. A copy whose deadline passed
  // some time ago, but is still there, is killed. May be called by several threads at once: by one that is not the
  // first, kRuns is said.
  CopyEnd look() noexcept;
  // The same, and waits until it has ended, or until `until_ns`.
  CopyEnd wait(uint64_t until_ns) noexcept;
  // Kills one that runs and waits until it is gone. Before an exec: the new program would never take it off the list.
  void end() noexcept;

 private:
  [[nodiscard]] bool is_ours() const noexcept;
  void take_off_list() noexcept;

  // In the copy.
  void run() noexcept;  // Does not return.
  void watch() const noexcept;
  static void on_watch(int) noexcept;

  std::atomic<long> host_pid_{0};  // Whose child it is; 0: nobody's, or not yet.
  std::atomic<long> pid_{0};
  std::atomic<CopyState> state_{CopyState::kNone};
  std::atomic<int> code_{0};
  std::atomic<bool> looking_{false};
  // For the copy, written before it is made.
  long parent_pid_ = 0;
  uint64_t deadline_ns_ = 0;
  int (*function_)(void*) = nullptr;
  void* argument_ = nullptr;
};

}  // namespace seep::leak_scan
