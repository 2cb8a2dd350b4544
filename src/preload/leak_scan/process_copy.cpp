// SPDX-License-Identifier: Apache-2.0
//
// The copy that scans; see process_copy.h.
#include "preload/leak_scan/process_copy.h"

#include <linux/close_range.h>
#include <linux/wait.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include "preload/clock.h"
#include "record/aside.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

constexpr uint64_t kWatchMicroseconds = 20'000;
constexpr uint64_t kLateNs = 500'000'000;  // That a copy may be late before the host kills it.
constexpr uint64_t kFirstSliceNs = 50'000, kLongestSliceNs = 1'000'000;

// What the rules of process_copy.h cannot be kept without.
constexpr long kNeeded[] = {SYS_clone,   SYS_wait4,          SYS_kill,         SYS_close_range,    SYS_getppid,
                            SYS_setpgid, SYS_rt_sigaction,   SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_setitimer,
                            SYS_prctl,   SYS_exit_group,     SYS_prlimit64,    SYS_openat,         SYS_write,
                            SYS_close,   SYS_clock_nanosleep};

bool kernel_allows() noexcept {
  for (const long number : kNeeded) {
    if (system_gate.denies(number)) return false;
  }
  // Whether the kernel has it: there is no such descriptor to be closed.
  return !sys::failed(system_call(SYS_close_range, ~0U, ~0U, 0));
}

// The kernel's own struct sigaction.
struct Action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

// Set in the copy alone.
constinit const ProcessCopy* watched = nullptr;

// Not by an exit: whoever reads how it ended must not take it for done.
[[noreturn]] void die() noexcept {
  for (;;) system_call(SYS_kill, sys::process_id(), SIGKILL);
}

void be_killed_first() noexcept {
  const long fd = sys::open("/proc/self/oom_score_adj", O_WRONLY);
  if (sys::failed(fd)) return;
  static_cast<void>(sys::write_all(fd, "1000", 4));
  sys::close(fd);
}

// A limit of one byte: too little for a core file, and the kernel's own sign for no program that is piped one
// (core(5)). With a limit of 0 such a program would be started.
void leave_no_core() noexcept {
  rlimit64 limit{};
  system_call(SYS_prlimit64, 0, RLIMIT_CORE, 0, sys::as_long(&limit));
  limit.rlim_cur = limit.rlim_max == 0 ? 0 : 1;
  system_call(SYS_prlimit64, 0, RLIMIT_CORE, sys::as_long(&limit), 0);
}

void leave_realtime() noexcept {
  const long policy = system_call(SYS_sched_getscheduler, 0) & ~long{SCHED_RESET_ON_FORK};
  if (policy != SCHED_FIFO && policy != SCHED_RR) return;
  const sched_param none{};
  system_call(SYS_sched_setscheduler, 0, SCHED_OTHER, sys::as_long(&none));
}

}  // namespace

bool ProcessCopy::is_ours() const noexcept { return host_pid_.load(std::memory_order_acquire) == sys::process_id(); }

bool ProcessCopy::make(int (*function)(void*), void* argument, void* stack_top, uint64_t deadline_ns) noexcept {
  if (kUnderThreadSanitizer || !kernel_allows() || look().state == CopyState::kRuns) return false;
  // Its descriptors are the host's until it leaves them: a copied table would keep the host's pipes open, and closing
  // the copies would tell a file server that the host had closed a file.
  constexpr unsigned long kFlags = CLONE_FILES | CLONE_UNTRACED;
  function_ = function;
  argument_ = argument;
  deadline_ns_ = deadline_ns;
  parent_pid_ = sys::process_id();
  if (!is_ours()) looking_.store(false, std::memory_order_relaxed);  // Was a thread's of the process we are a fork of.
  host_pid_.store(0, std::memory_order_relaxed);                     // Nobody looks until there is one.
  const long pid = clone_and_call(
      kFlags, stack_top, [](void* self) { static_cast<ProcessCopy*>(self)->run(); }, this);
  if (sys::failed(pid)) return false;
  pid_.store(pid, std::memory_order_relaxed);
  state_.store(CopyState::kRuns, std::memory_order_relaxed);
  code_.store(0, std::memory_order_relaxed);
  host_pid_.store(parent_pid_, std::memory_order_release);
  return true;
}

// With __WCLONE, that finds no child of the host's own making: one that says SIGCHLD when it ends. So even where the
// host has taken ours off the list, and another child of its has the number by now, that one stays the host's.
void ProcessCopy::take_off_list() noexcept {
  int status = 0;
  const long pid = pid_.load(std::memory_order_relaxed);
  const long result = system_call(SYS_wait4, pid, sys::as_long(&status), WNOHANG | __WCLONE);
  if (result == 0) {
    if (monotonic_ns() > deadline_ns_ + kLateNs) system_call(SYS_kill, pid, SIGKILL);
    return;
  }
  if (result != pid && result != -ECHILD) return;
  const bool killed = (status & 0x7F) != 0;
  code_.store(killed ? status & 0x7F : status >> 8 & 0xFF, std::memory_order_relaxed);
  state_.store(result != pid ? CopyState::kTaken
               : killed      ? CopyState::kDied
                             : CopyState::kEnded,
               std::memory_order_release);
}

CopyEnd ProcessCopy::look() noexcept {
  if (!is_ours()) return {CopyState::kNone, 0};
  if (state_.load(std::memory_order_acquire) == CopyState::kRuns) {
    if (looking_.exchange(true, std::memory_order_acquire)) return {CopyState::kRuns, 0};
    if (state_.load(std::memory_order_acquire) == CopyState::kRuns) take_off_list();
    looking_.store(false, std::memory_order_release);
  }
  const CopyState state = state_.load(std::memory_order_acquire);
  return {state, state == CopyState::kRuns ? 0 : code_.load(std::memory_order_relaxed)};
}

// By looking again and again: a wait that blocks has no limit, and one of a descriptor would be the host's.
CopyEnd ProcessCopy::wait(uint64_t until_ns) noexcept {
  uint64_t slice_ns = kFirstSliceNs;
  for (;;) {
    const CopyEnd end = look();
    const uint64_t now = monotonic_ns();
    if (end.state != CopyState::kRuns || now >= until_ns) return end;
    const timespec time{0, static_cast<long>(until_ns - now < slice_ns ? until_ns - now : slice_ns)};
    system_call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, sys::as_long(&time), 0);
    if (slice_ns < kLongestSliceNs) slice_ns += slice_ns / 4;
  }
}

void ProcessCopy::end() noexcept {
  if (look().state != CopyState::kRuns) return;
  system_call(SYS_kill, pid_.load(std::memory_order_relaxed), SIGKILL);
  // Dead at once, but for one that the kernel does not let go of in a read of a dead file server.
  constexpr uint64_t kGoneNs = 1'000'000'000;
  static_cast<void>(wait(monotonic_ns() + kGoneNs));
}

void ProcessCopy::run() noexcept {
  if (sys::failed(system_call(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE))) die();
  system_call(SYS_setpgid, 0, 0);
  static constexpr char kName[] = "seep-scan";
  system_call(SYS_prctl, PR_SET_NAME, sys::as_long(kName));
  be_killed_first();
  leave_no_core();
  leave_realtime();
  watch();
  const int code = function_(argument_);
  for (;;) system_call(SYS_exit_group, code);
}

void ProcessCopy::watch() const noexcept {
  watched = this;
  const Action action{on_watch, SA_RESTART | kSignalRestorerFlag, return_from_signal, ~uint64_t{0}};
  system_call(SYS_rt_sigaction, SIGALRM, sys::as_long(&action), 0, sizeof(uint64_t));
  const uint64_t blocked = ~(uint64_t{1} << (SIGALRM - 1));
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, sys::as_long(&blocked), 0, sizeof blocked);
  const timeval each{0, kWatchMicroseconds};
  const itimerval timer{each, each};
  system_call(SYS_setitimer, ITIMER_REAL, sys::as_long(&timer), 0);
  on_watch(SIGALRM);
}

void ProcessCopy::on_watch(int) noexcept {
  const bool has_host = sys::parent_process_id() == watched->parent_pid_;
  if (!has_host || monotonic_ns() >= watched->deadline_ns_) die();
}

}  // namespace seep::leak_scan
