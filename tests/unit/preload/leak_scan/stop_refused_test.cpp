// SPDX-License-Identifier: Apache-2.0
//
// Stopping threads where something is refused: the next way is taken, or it is said that nothing is stopped; and
// whatever is killed meanwhile, no thread stays stopped.
#include <sys/prctl.h>
#include <sys/ptrace.h>

#include "preload/leak_scan/stop_threads.h"
#include "record/system.h"
#include "stop_test.h"

namespace seep::leak_scan {
namespace {

void expect_stops(StopWay way, StopOptions options = {}) {
  const CountingThreads threads(4);
  std::vector<uint64_t> before(4), after(4);
  Scanner scanner;
  const StopResult result = scanner.stop(options);
  threads.read(before);
  let_time_pass();
  threads.read(after);
  EXPECT_TRUE(scanner.threads.resume());
  EXPECT_EQ(result.way, way);
  EXPECT_TRUE(result.everyone());
  EXPECT_EQ(result.stopped_threads, 4u);
  EXPECT_EQ(before, after);
  EXPECT_TRUE(threads.all_go_on());
}

// setresuid by the system call: libc's would ask other threads, and there is one here.
bool become_nobody() { return syscall(SYS_setresuid, 65534, 65534, 65534) == 0 || geteuid() != 0; }

TEST(StopRefused, OneThatMayNotBeDumpedIsStoppedBySignalAndStaysSo) {
  EXPECT_EQ(in_child([] {
              ASSERT_TRUE(become_nobody());
              ASSERT_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
              expect_stops(StopWay::kSignal);
              EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
            }),
            0);
}

TEST(StopRefused, WithoutAnyRightsPtraceWorks) {
  EXPECT_EQ(in_child([] {
              ASSERT_TRUE(become_nobody());
              ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
              std::ifstream yama("/proc/sys/kernel/yama/ptrace_scope");
              int scope = 0;
              yama >> scope;
              expect_stops(scope > 1 ? StopWay::kSignal : StopWay::kPtrace);
            }),
            0);
}

// A tracer as strace -f: all threads, every signal passed on.
int trace_all(pid_t child) {
  EXPECT_EQ(ptrace(PTRACE_SEIZE, child, nullptr, PTRACE_O_TRACECLONE), 0);
  EXPECT_EQ(kill(child, SIGUSR1), 0);  // It waits for that.
  for (;;) {
    int status = 0;
    const pid_t tid = waitpid(-1, &status, __WALL);
    if (tid == -1) return -1;
    if (tid == child && !WIFSTOPPED(status)) return status;
    if (!WIFSTOPPED(status)) continue;
    const bool delivers = status >> 16 == 0;
    ptrace(PTRACE_CONT, tid, nullptr, delivers ? WSTOPSIG(status) : 0);
  }
}

TEST(StopRefused, UnderADebuggerItIsBySignal) {
  sigset_t begin;
  sigemptyset(&begin);
  sigaddset(&begin, SIGUSR1);
  sigprocmask(SIG_BLOCK, &begin, nullptr);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int signal;
    sigwait(&begin, &signal);
    expect_stops(StopWay::kSignal);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  EXPECT_EQ(trace_all(child), 0);
  sigprocmask(SIG_UNBLOCK, &begin, nullptr);
}

class Sandbox {
 public:
  explicit Sandbox(std::initializer_list<unsigned> calls) : before_(system_gate.denied()) {
    SystemGate::Denied denied{};
    for (const unsigned number : calls) denied.add(number);
    system_gate.close(denied);
  }
  ~Sandbox() { system_gate.open_to(before_); }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

 private:
  SystemGate::Denied before_;
};

TEST(StopRefused, ASandboxWithoutPtraceOrCloneLeavesTheSignal) {
  for (const unsigned number : {SYS_ptrace, SYS_clone, SYS_wait4, SYS_rt_sigtimedwait}) {
    const Sandbox sandbox({number});
    expect_stops(StopWay::kSignal);
  }
}

TEST(StopRefused, ASandboxWithoutSignalsLeavesPtrace) {
  const Sandbox sandbox({SYS_rt_tgsigqueueinfo, SYS_rt_sigreturn});
  expect_stops(StopWay::kPtrace);
}

TEST(StopRefused, ASandboxWithoutEitherStopsNothing) {
  const CountingThreads threads(2);
  for (const std::initializer_list<unsigned>& calls :
       {std::initializer_list<unsigned>{SYS_ptrace, SYS_rt_tgsigqueueinfo}, {SYS_openat}, {SYS_futex}}) {
    const Sandbox sandbox(calls);
    Scanner scanner;
    const StopResult result = scanner.stop();
    EXPECT_EQ(result.way, StopWay::kNone);
    EXPECT_FALSE(result.everyone());
    EXPECT_EQ(scanner.threads.threads().size(), 0u);
    EXPECT_TRUE(threads.all_go_on());
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGUSR1), 0) << "signals stay blocked";
  }
}

TEST(StopRefused, ASignalThatTheHostUsesIsNotTaken) {
  struct sigaction taken {
  }, old[65];
  taken.sa_handler = [](int) {};
  for (int signal = 36; signal <= 64; ++signal) sigaction(signal, &taken, &old[signal]);
  expect_stops(StopWay::kSignal, kBySignal);  // By the 35th, the only one that is left.
  sigaction(35, &taken, &old[35]);
  {
    const CountingThreads threads(1);
    Scanner scanner;
    EXPECT_EQ(scanner.stop(kBySignal).way, StopWay::kNone);
  }
  for (int signal = 35; signal <= 64; ++signal) {
    struct sigaction now {};
    sigaction(signal, &old[signal], &now);
    EXPECT_EQ(now.sa_handler, taken.sa_handler) << signal;
  }
}

TEST(StopRefused, ThreadsGoOnWhenTheHelperIsKilledAndTheCallerIsTold) {
  const CountingThreads threads(3);
  Scanner scanner;
  ASSERT_EQ(scanner.stop().way, StopWay::kPtrace);
  const pid_t helper = std::stoi(status_field(threads.tid(0), "TracerPid"));
  ASSERT_GT(helper, 0);
  EXPECT_EQ(kill(helper, SIGKILL), 0);
  EXPECT_TRUE(threads.all_go_on());
  EXPECT_FALSE(scanner.threads.resume());
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1);
}

// Returned only when no process holds it any more: the host, its helper.
bool ends(int read_end) {
  char byte;
  return read(read_end, &byte, 1) == 0;
}

TEST(StopRefused, TheHelperDiesWithTheHost) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int pids[2], lives[2];
  ASSERT_EQ(pipe(pids), 0);
  ASSERT_EQ(pipe(lives), 0);
  const pid_t child = fork();
  if (child == 0) {
    static const CountingThreads threads(3);
    static Scanner scanner;
    if (scanner.stop().way != StopWay::kPtrace) _exit(1);
    std::ifstream status("/proc/self/task/" + std::to_string(threads.tid(0)) + "/status");
    const pid_t helper = std::stoi(status_field(threads.tid(0), "TracerPid"));
    if (write(pids[1], &helper, sizeof helper) != sizeof helper) _exit(1);
    for (;;) pause();
  }
  close(lives[1]);
  pid_t helper = 0;
  ASSERT_EQ(read(pids[0], &helper, sizeof helper), static_cast<ssize_t>(sizeof helper));
  kill(child, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  // Ours now, since it has no parent: it can be waited for, and has been killed by its own request.
  EXPECT_TRUE(comes_true([&] { return waitpid(helper, &status, __WALL | WNOHANG) == helper; }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_TRUE(ends(lives[0]));
  close(lives[0]);
  close(pids[0]);
  close(pids[1]);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace seep::leak_scan
