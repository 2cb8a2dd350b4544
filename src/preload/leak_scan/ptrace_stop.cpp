// SPDX-License-Identifier: Apache-2.0
//
// Stopping threads by ptrace; see ptrace_stop.h.
#include "preload/leak_scan/ptrace_stop.h"

#include <linux/close_range.h>
#include <linux/elf.h>
#include <linux/ptrace.h>
#include <linux/wait.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "preload/clock.h"
#include "preload/leak_scan/futex.h"
#include "preload/leak_scan/thread_list.h"

namespace seep::leak_scan {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr uint64_t kSliceNs = 10'000'000;         // After which a wait looks whether the other side still lives.
constexpr uint64_t kHelperDelayNs = 200'000'000;  // That the helper may be late before it is killed.
constexpr unsigned kQuietListings = 3;            // Without a new thread, where the kernel's count is of no use.

// What neither we nor the helper can do without.
bool sandbox_allows() noexcept {
  for (const long number : {SYS_clone, SYS_ptrace, SYS_wait4, SYS_futex, SYS_prctl, SYS_getppid, SYS_kill, SYS_openat,
                            SYS_getdents64, SYS_rt_sigaction, SYS_rt_sigtimedwait, SYS_exit}) {
    if (system_gate.denies(number)) return false;
  }
  return true;
}

long trace(long request, long tid, long address = 0, long data = 0) noexcept {
  return system_call(SYS_ptrace, request, tid, address, data);
}

// The kernel's own struct sigaction, all zeros: SIG_DFL.
struct DefaultAction {
  uint64_t words[4] = {};
};

}  // namespace

StopOutcome PtraceStop::stop(uint64_t deadline_ns, bool declare) noexcept {
  settled_ = false;
  deadline_ns_ = deadline_ns;
  threads_.clear();
  if (stack_ == nullptr) stack_ = memory_.take(kStackBytes);
  if (stack_ == nullptr || !sandbox_allows() || !start_helper(declare)) return StopOutcome::kRefused;
  while (phase_.load(std::memory_order_acquire) == kStopping) {
    wait_while(phase_, kStopping, kSliceNs);
    if (helper_has_ended()) break;
    if (monotonic_ns() > deadline_ns + kHelperDelayNs) break;
  }
  if (phase_.load(std::memory_order_acquire) == kStopped) return StopOutcome::kDone;
  end_helper();
  return StopOutcome::kRefused;
}

bool PtraceStop::start_helper(bool declare) noexcept {
  // Its descriptors are the host's until it leaves them (become_helper): a copied table would keep the host's pipes
  // open, and closing the copies would tell a file server that the host had closed a file.
  constexpr unsigned long kFlags = CLONE_VM | CLONE_FILES | CLONE_UNTRACED;
  host_pid_ = sys::process_id();
  caller_tid_ = system_call(SYS_gettid);
  phase_.store(declare ? kBorn : kStopping, std::memory_order_relaxed);
  helper_pid_ = clone_and_call(
      kFlags, static_cast<char*>(stack_) + kStackBytes, [](void* self) { static_cast<PtraceStop*>(self)->help(); },
      this);
  if (sys::failed(helper_pid_)) return false;
  if (declare) {
    system_call(SYS_prctl, PR_SET_PTRACER, helper_pid_);
    enter(kStopping);
  }
  return true;
}

bool PtraceStop::helper_has_ended() noexcept {
  if (helper_pid_ == 0) return true;
  const long result = system_call(SYS_wait4, helper_pid_, 0, WNOHANG | __WALL);
  if (result == helper_pid_ || result == -ECHILD) helper_pid_ = 0;
  return helper_pid_ == 0;
}

// It is on its way out, or does not answer. What it had stopped goes on when it is dead.
void PtraceStop::end_helper() noexcept {
  if (helper_has_ended()) return;
  if (phase_.load(std::memory_order_acquire) < kRefused) system_call(SYS_kill, helper_pid_, SIGKILL);
  while (system_call(SYS_wait4, helper_pid_, 0, __WALL) == -EINTR) {
  }
  helper_pid_ = 0;
}

bool PtraceStop::resume() noexcept {
  enter(kResuming);
  if (helper_pid_ != 0) {
    while (system_call(SYS_wait4, helper_pid_, 0, __WALL) == -EINTR) {
    }
    helper_pid_ = 0;
  }
  return phase_.load(std::memory_order_acquire) == kResumed;
}

void PtraceStop::enter(Phase phase) noexcept {
  phase_.store(phase, std::memory_order_release);
  wake_all(phase_);
}

void PtraceStop::help() noexcept {
  become_helper();
  // Not our parent any more: it died before it could take us along.
  if (sys::parent_process_id() != host_pid_) return;
  while (phase_.load(std::memory_order_acquire) == kBorn) wait_while(phase_, kBorn, kSliceNs);
  if (!stop_everyone()) {
    let_go();
    return enter(kRefused);
  }
  enter(kStopped);
  while (phase_.load(std::memory_order_acquire) == kStopped) {
    wait_while(phase_, kStopped, kSliceNs);
    listen_again();
  }
  let_go();
  phase_.store(kResumed, std::memory_order_release);
}

void PtraceStop::become_helper() noexcept {
  system_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  system_call(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE);  // Before Linux 5.9: one of the host's, for moments.
  // A stopped thread is told by SIGCHLD, which is blocked and taken in collect; the host may ignore it.
  const DefaultAction action;
  system_call(SYS_rt_sigaction, SIGCHLD, sys::as_long(&action), 0, sizeof(uint64_t));
}

// False where we may not. Threads that are not stopped yet can make new ones, so all are listed again until there is
// none that we do not know. One that has ended before it could be stopped is such a one: it may have made another.
bool PtraceStop::stop_everyone() noexcept {
  unsigned quiet = 0;
  while (!settled_) {
    const uint32_t first = threads_.size();
    bool allowed = true, here = false, news = false;
    const ThreadListing listing = for_each_thread(host_pid_, [&](int32_t tid) {
      here = here || tid == caller_tid_;
      if (tid == caller_tid_ || !allowed || threads_.knows(tid)) return;
      news = true;
      allowed = seize(tid);
    });
    // Without ourselves in it, the list is of another namespace's process.
    if (!allowed || !listing.readable || !here) return false;
    collect_from(first);
    quiet = news ? 0 : quiet + 1;
    settled_ = quiet > 0 && (listing.complete || quiet >= kQuietListings);
    if (monotonic_ns() > deadline_ns_) break;
  }
  return true;
}

// False where it is there and may not be traced: by us, or since another one does.
bool PtraceStop::seize(int32_t tid) noexcept {
  const long result = trace(PTRACE_SEIZE, tid);
  if (result == -ESRCH) return true;
  if (sys::failed(result)) return has_ended(host_pid_, tid);
  StoppedThread* thread = threads_.add(tid);
  if (thread == nullptr) return false;
  trace(PTRACE_INTERRUPT, tid);
  return true;
}

void PtraceStop::collect_from(uint32_t first) noexcept {
  for (uint32_t i = first; i < threads_.size(); ++i) collect(threads_[i]);
}

// Waits until it has stopped or ended. Where it has not until the deadline, it is let go when the helper ends.
void PtraceStop::collect(StoppedThread& thread) noexcept {
  const uint64_t told = uint64_t{1} << (SIGCHLD - 1);
  for (;;) {
    int status = 0;
    const long result = system_call(SYS_wait4, thread.tid, sys::as_long(&status), WNOHANG | __WALL);
    if (result == thread.tid && (status & 0xFF) == 0x7F) {
      // Stopped by us and by job control comes with an event; without one a signal was being delivered.
      thread.taken_signal = (status >> 16) == 0 ? status >> 8 & 0xFF : 0;
      return read_registers(thread);
    }
    if (result == thread.tid || sys::failed(result)) return thread.state.store(StopState::kGone);
    const uint64_t now = monotonic_ns();
    if (now >= deadline_ns_) return thread.state.store(StopState::kMissed);
    const uint64_t most_ns = deadline_ns_ - now < kSliceNs ? deadline_ns_ - now : kSliceNs;
    const timespec time{0, static_cast<long>(most_ns)};
    system_call(SYS_rt_sigtimedwait, sys::as_long(&told), 0, sys::as_long(&time), sizeof told);
  }
}

void PtraceStop::read_registers(StoppedThread& thread) noexcept {
  uint64_t general[kPtraceWords];
  iovec into{general, sizeof general};
  if (sys::failed(trace(PTRACE_GETREGSET, thread.tid, NT_PRSTATUS, sys::as_long(&into)))) {
    // Killed while it stood, or a sandbox: we know nothing of it.
    return thread.state.store(has_ended(host_pid_, thread.tid) ? StopState::kGone : StopState::kMissed);
  }
  thread.sp = general[kPtraceStackPointer];
  thread.thread_pointer = general[kPtraceThreadPointer];
  for (unsigned i = 0; i < kPtraceWords; ++i) {
    if (kPtraceDwarf[i] >= 0) thread.registers.set(static_cast<unsigned>(kPtraceDwarf[i]), general[i]);
    if ((kPtraceAddresses >> i & 1) != 0) thread.keep_general(general[i]);
  }
  alignas(64) uint64_t vectors[kVectorStateBytes / sizeof(uint64_t)];
  for (const long set : {long{kVectorRegisterSet}, long{NT_PRFPREG}}) {  // The second: a processor without XSAVE.
    into = {vectors, sizeof vectors};
    if (sys::failed(trace(PTRACE_GETREGSET, thread.tid, set, sys::as_long(&into)))) continue;
    thread.keep_vectors(vectors, into.iov_len);
    break;
  }
  if (thread.taken_signal == 0) trace(PTRACE_LISTEN, thread.tid);
  thread.state.store(StopState::kStopped, std::memory_order_release);
}

// A thread that listens stands as still as one that does not, but takes part when job control stops the process: else
// the shell would wait until our caller, which is stopped by then, lets go.
void PtraceStop::listen_again() noexcept {
  int status = 0;
  for (long tid; (tid = system_call(SYS_wait4, -1, sys::as_long(&status), WNOHANG | __WALL)) > 0;) {
    trace(PTRACE_LISTEN, tid);
  }
}

// The others go on when the helper ends, all at once.
void PtraceStop::let_go() noexcept {
  for (uint32_t i = 0; i < threads_.size(); ++i) {
    const StoppedThread& thread = threads_[i];
    if (thread.taken_signal != 0) trace(PTRACE_DETACH, thread.tid, 0, thread.taken_signal);
  }
}

}  // namespace seep::leak_scan
