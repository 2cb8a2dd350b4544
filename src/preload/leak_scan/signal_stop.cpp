// SPDX-License-Identifier: Apache-2.0
//
// Stopping threads by a signal; see signal_stop.h.
#include "preload/leak_scan/signal_stop.h"

#include <signal.h>

#include "preload/clock.h"
#include "preload/leak_scan/futex.h"
#include "preload/leak_scan/thread_list.h"
#include "record/aside.h"

namespace seep::leak_scan {
namespace {

constexpr uint64_t kSliceNs = 5'000'000;      // After which a wait for a thread looks whether it still lives.
constexpr uint64_t kBlockedNs = 50'000'000;   // That a thread may block the signal: glibc does while it makes a thread.
constexpr uint64_t kLeaveNs = 1'000'000'000;  // That the handlers have to return before we go on without them.
constexpr unsigned kQuietListings = 3;        // As for ptrace.
constexpr int kFirstFreeSignal = 35, kLastSignal = 64;  // 32 to 34: glibc's own, and the one that everybody takes.

using Handler = void (*)(int, siginfo_t*, void*);

// The kernel's own.
struct Action {
  Handler handler;
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

// What the handler knows. Static: one may begin to run when nobody waits for it any more.
struct Rendezvous {
  std::atomic<uint32_t> round;    // Odd: the threads that are asked in it stand still for as long as it is this one.
  std::atomic<uint32_t> answers;  // Changes with each.
  std::atomic<uint32_t> inside;   // Handlers that run.
  StoppedThreads* threads;
  long pid, caller_tid;
};
constinit Rendezvous rendezvous{};

// Where that is so, nobody will tell us to go on: not even a thread that scans can end while it does, unless somebody
// ends it by a system call of its own.
bool caller_is_gone() noexcept { return system_call(SYS_tgkill, rendezvous.pid, rendezvous.caller_tid, 0) == -ESRCH; }

void note_registers(StoppedThread& thread, const void* context) noexcept {
  const auto* words = static_cast<const uint64_t*>(context);
  const uint64_t* general = words + kFrameFirstWord;
  uint64_t thread_pointer = 0;  // Asked of the kernel: what is no thread of libc's has none, and could not load it.
  system_call(SYS_arch_prctl, kGetThreadPointer, sys::as_long(&thread_pointer));
  thread.sp = general[kFrameStackPointer];
  thread.thread_pointer = thread_pointer;
  for (unsigned i = 0; i < kFrameWords; ++i) {
    thread.registers.set(static_cast<unsigned>(kFrameDwarf[i]), general[i]);
    thread.keep_general(general[i]);
  }
  thread.keep_general(thread_pointer);
  const auto* vectors = reinterpret_cast<const void*>(words[kFrameVectorState]);
  if (vectors != nullptr) thread.keep_vectors(vectors, vector_state_bytes_in_frame(vectors));
}

void stand_still(uint32_t round, uint32_t index, const void* context) noexcept {
  StoppedThread& thread = (*rendezvous.threads)[index];
  if (thread.state.load(std::memory_order_acquire) != StopState::kAsked) return;
  note_registers(thread, context);
  StopState asked = StopState::kAsked;
  if (!thread.state.compare_exchange_strong(asked, StopState::kStopped, std::memory_order_acq_rel)) return;
  rendezvous.answers.fetch_add(1, std::memory_order_release);
  wake_all(rendezvous.answers);
  while (rendezvous.round.load(std::memory_order_acquire) == round && !caller_is_gone()) {
    wait_while(rendezvous.round, round, 1'000'000'000);
  }
}

// A thread may come here late, when its round is over; and anybody may send the signal.
void on_stop_signal(int, siginfo_t* info, void* context) noexcept {
  if (info->si_code != SI_QUEUE) return;
  const auto asked = reinterpret_cast<uint64_t>(info->si_value.sival_ptr);
  const auto round = static_cast<uint32_t>(asked >> 32), index = static_cast<uint32_t>(asked);
  rendezvous.inside.fetch_add(1, std::memory_order_seq_cst);
  if (round % 2 == 1 && rendezvous.round.load(std::memory_order_seq_cst) == round && info->si_pid == rendezvous.pid) {
    stand_still(round, index, context);
  }
  rendezvous.inside.fetch_sub(1, std::memory_order_seq_cst);
  wake_all(rendezvous.inside);
}

bool sandbox_allows() noexcept {
  for (const long number : {SYS_rt_sigaction, SYS_rt_sigreturn, SYS_rt_tgsigqueueinfo, SYS_tgkill, SYS_futex,
                            SYS_arch_prctl, SYS_openat, SYS_getdents64}) {
    if (system_gate.denies(number)) return false;
  }
  return true;
}

// A null `old` or `set` is left out.
bool change_action(int signal, const Action* set, Action* old) noexcept {
  return !sys::failed(system_call(SYS_rt_sigaction, signal, sys::as_long(set), sys::as_long(old), sizeof(uint64_t)));
}

Handler special(uintptr_t value) noexcept { return reinterpret_cast<Handler>(value); }

}  // namespace

StopOutcome SignalStop::stop(uint64_t deadline_ns, uint64_t blocked_signals) noexcept {
  settled_ = false;
  deadline_ns_ = deadline_ns;
  host_pid_ = sys::process_id();
  caller_tid_ = system_call(SYS_gettid);
  threads_.clear();
  rendezvous.threads = &threads_;
  if (rendezvous.pid != host_pid_) rendezvous.inside.store(0, std::memory_order_relaxed);  // Those of a fork's parent.
  rendezvous.pid = host_pid_;
  rendezvous.caller_tid = caller_tid_;
  if (!sandbox_allows() || !take_signal(blocked_signals)) return StopOutcome::kRefused;
  // Odd, and no round that a late handler could have been asked in.
  rendezvous.round.store((rendezvous.round.load(std::memory_order_relaxed) | 1) + 2, std::memory_order_seq_cst);
  if (stop_everyone()) return StopOutcome::kDone;
  resume();
  return StopOutcome::kRefused;
}

void SignalStop::resume() noexcept {
  rendezvous.round.fetch_add(1, std::memory_order_seq_cst);
  wake_all(rendezvous.round);
  give_signal_back();
  const uint64_t most_ns = monotonic_ns() + kLeaveNs;
  while (const uint32_t inside = rendezvous.inside.load(std::memory_order_seq_cst)) {
    if (monotonic_ns() > most_ns) break;
    wait_while(rendezvous.inside, inside, kSliceNs);
  }
}

bool SignalStop::take_signal(uint64_t blocked_signals) noexcept {
  const Action ours{on_stop_signal, SA_SIGINFO | SA_RESTART | SA_ONSTACK | kSignalRestorerFlag, return_from_signal,
                    ~uint64_t{0}};
  for (signal_ = kLastSignal; signal_ >= kFirstFreeSignal; --signal_) {
    // One that is blocked and at its default is waited for: sigwait(3), signalfd(2).
    if ((blocked_signals >> (signal_ - 1) & 1) != 0) continue;
    Action old{};
    if (!change_action(signal_, nullptr, &old) || old.handler != special(0)) continue;
    if (!change_action(signal_, &ours, &old)) continue;
    if (old.handler == special(0)) return true;
    change_action(signal_, &old, nullptr);  // The host took it in between.
  }
  return false;
}

void SignalStop::give_signal_back() noexcept {
  Action now{};
  if (!change_action(signal_, nullptr, &now) || now.handler != on_stop_signal) return;
  // To ignore it drops what is still on its way to threads that block it: the default would end the process later.
  const Action ignored{special(1), 0, nullptr, 0}, initial{special(0), 0, nullptr, 0};
  change_action(signal_, &ignored, nullptr);
  change_action(signal_, &initial, nullptr);
}

bool SignalStop::stop_everyone() noexcept {
  unsigned quiet = 0;
  while (!settled_) {
    const uint32_t first = threads_.size();
    bool memory = true, here = false;
    ThreadListing listing{};
    const bool called = call_aside([&] {
      const long own = system_call(SYS_gettid);  // That of the helper, which is a thread of this process for so long.
      listing = for_each_thread(host_pid_, [&](int32_t tid) {
        here = here || tid == caller_tid_;
        if (tid == caller_tid_ || tid == own || !memory || threads_.knows(tid)) return;
        memory = threads_.add(tid) != nullptr;
      });
    });
    if (!called || !memory || !listing.readable || !here) return false;
    ask_from(first);
    quiet = threads_.size() == first ? quiet + 1 : 0;
    settled_ = quiet > 0 && (listing.complete || quiet >= kQuietListings);
    if (monotonic_ns() > deadline_ns_) break;
  }
  return true;
}

void SignalStop::ask_from(uint32_t first) noexcept {
  const uint64_t round = rendezvous.round.load(std::memory_order_relaxed);
  for (uint32_t i = first; i < threads_.size(); ++i) {
    siginfo_t info{};
    info.si_signo = signal_;
    info.si_code = SI_QUEUE;
    info.si_pid = static_cast<int>(host_pid_);
    info.si_value.sival_ptr = reinterpret_cast<void*>(round << 32 | i);
    const long result = system_call(SYS_rt_tgsigqueueinfo, host_pid_, threads_[i].tid, signal_, sys::as_long(&info));
    // Other failures: RLIMIT_SIGPENDING.
    if (sys::failed(result)) threads_[i].state.store(result == -ESRCH ? StopState::kGone : StopState::kMissed);
  }
  const uint64_t asked_ns = monotonic_ns();
  for (uint32_t i = first; i < threads_.size(); ++i) wait_for(threads_[i], asked_ns);
}

// Until it has answered or ended, the deadline is there, or it blocks the signal for long.
void SignalStop::wait_for(StoppedThread& thread, uint64_t asked_ns) noexcept {
  for (;;) {
    const uint32_t seen = rendezvous.answers.load(std::memory_order_acquire);
    StopState state = thread.state.load(std::memory_order_acquire);
    if (state != StopState::kAsked) return;
    const uint64_t now = monotonic_ns();
    StopState next = StopState::kAsked;
    if (system_call(SYS_tgkill, host_pid_, thread.tid, 0) == -ESRCH) next = StopState::kGone;
    else if (now >= deadline_ns_ || (now > asked_ns + kBlockedNs && blocks(thread.tid))) next = StopState::kMissed;
    if (next != StopState::kAsked) {
      if (thread.state.compare_exchange_strong(state, next, std::memory_order_acq_rel)) return;
      continue;
    }
    wait_while(rendezvous.answers, seen, deadline_ns_ - now < kSliceNs ? deadline_ns_ - now : kSliceNs);
  }
}

bool SignalStop::blocks(int32_t tid) const noexcept {
  bool blocked = false;
  return call_aside([&] { blocked = blocks_signal(host_pid_, tid, signal_); }) && blocked;
}

}  // namespace seep::leak_scan
