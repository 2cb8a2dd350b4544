// SPDX-License-Identifier: Apache-2.0
//
// The copy of the process: it does what it is for, and the host does not notice it, by any way that the host has to.
#include "preload/leak_scan/process_copy.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <new>

#include "record/aside.h"
#include "stop_test.h"

namespace seep::leak_scan {
namespace {

constexpr size_t kStackBytes = 256 << 10;

// What the copy and its host both see.
struct Shared {
  std::atomic<long> copy_pid{0};
  std::atomic<bool> go_on{false};
  std::atomic<int> handled{0};
  std::atomic<long> seen[8]{};
};

// A process with a copy. Whatever the copy does, it tells its number first.
class ProcessCopyTest : public testing::Test {
 protected:
  void SetUp() override {
    if (kUnderThreadSanitizer) GTEST_SKIP() << "not run: the thread sanitizer does not survive a raw clone";
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared = new (memory) Shared;
    stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(stack, MAP_FAILED);
  }
  void TearDown() override {
    if (shared == nullptr) return;
    copy.end();
    munmap(stack, kStackBytes);
    munmap(shared, sizeof(Shared));
  }

  // The function must be static: nothing of the test's stack is the copy's to rely on.
  [[nodiscard]] bool make(int (*function)(Shared&), uint64_t within_ns = 60 * kSecond) {
    called = function;
    const sys::SignalsBlocked blocked;
    return copy.make(run, this, static_cast<char*>(stack) + kStackBytes, monotonic_ns() + within_ns);
  }
  [[nodiscard]] bool make_and_let_run(int (*function)(Shared&)) {
    return make(function) && comes_true([&] { return shared->copy_pid != 0; });
  }
  [[nodiscard]] CopyEnd wait() { return copy.wait(monotonic_ns() + 60 * kSecond); }
  void expect_ends_with(int code) {
    const CopyEnd end = wait();
    EXPECT_EQ(end.state, CopyState::kEnded);
    EXPECT_EQ(end.code, code);
  }
  void expect_was_killed(int signal) {
    const CopyEnd end = wait();
    EXPECT_EQ(end.state, CopyState::kDied);
    EXPECT_EQ(end.code, signal);
  }

  static int run(void* self) {
    auto& test = *static_cast<ProcessCopyTest*>(self);
    test.shared->copy_pid = system_call(SYS_getpid);
    return test.called(*test.shared);
  }

  ProcessCopy copy;
  Shared* shared = nullptr;
  void* stack = nullptr;
  int (*called)(Shared&) = nullptr;
};

void nap() {
  const timespec time{0, 200'000};
  system_call(SYS_nanosleep, sys::as_long(&time));
}

// Until it is told to.
int go_on_when_told(Shared& shared) {
  while (!shared.go_on) nap();
  return 7;
}

int go_on_for_ever(Shared&) {
  for (;;) nap();
}

void expect_no_child(int options) {
  EXPECT_EQ(waitpid(-1, nullptr, options), -1);
  EXPECT_EQ(errno, ECHILD);
}

// It has ended, and nobody has asked how.
bool is_on_the_list_only(long pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(stat)), {});
  return text.find(") Z ") != std::string::npos;
}

Shared* handlers_tell = nullptr;

void count_signals(std::initializer_list<int> signals, Shared& shared) {
  handlers_tell = &shared;
  for (const int signal : signals) {
    struct sigaction action {};
    action.sa_handler = [](int) { ++handlers_tell->handled; };
    ASSERT_EQ(sigaction(signal, &action, nullptr), 0);
  }
}

TEST_F(ProcessCopyTest, HasTheMemoryOfThatMomentAndChangesNothingOfIt) {
  static volatile long number = 1;
  number = 41;
  ASSERT_TRUE(make([](Shared& seen) {
    while (!seen.go_on) nap();
    seen.seen[0] = number;
    number = 3;
    return 200;
  }));
  number = 42;
  shared->go_on = true;
  expect_ends_with(200);
  EXPECT_EQ(shared->seen[0], 41);
  EXPECT_EQ(number, 42);
  EXPECT_NE(shared->copy_pid, getpid());
}

TEST_F(ProcessCopyTest, IsMadeWhileAllOtherThreadsStandStillAndOutlastsThat) {
  for (const StopOptions way : {kByPtrace, kBySignal}) {
    const CountingThreads threads(4);
    std::vector<uint64_t> stopped(4), later(4), read(4);
    Scanner scanner;
    const StopResult result = scanner.stop(way);
    threads.read(stopped);
    static const CountingThreads* in_copy;
    static std::vector<uint64_t>* in_copy_read;
    in_copy = &threads;
    in_copy_read = &read;
    shared->go_on = false;
    const bool made = make([](Shared& told) {
      while (!told.go_on) nap();
      in_copy->read(*in_copy_read);
      for (size_t i = 0; i < 4; ++i) told.seen[i] = static_cast<long>((*in_copy_read)[i]);
      return 0;
    });
    EXPECT_TRUE(scanner.threads.resume());
    EXPECT_TRUE(result.everyone());
    ASSERT_TRUE(made);
    EXPECT_TRUE(threads.all_go_on());
    shared->go_on = true;
    expect_ends_with(0);
    threads.read(later);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(shared->seen[i], static_cast<long>(stopped[i]));
      EXPECT_GT(later[i], stopped[i]);
    }
  }
}

TEST_F(ProcessCopyTest, NoWaitOfTheHostsFindsIt) {
  EXPECT_EQ(in_child([this] {
              ASSERT_TRUE(make_and_let_run(go_on_when_told));
              for (int turn = 0; turn < 2; ++turn) {
                expect_no_child(0);
                EXPECT_EQ(waitpid(0, nullptr, 0), -1);
                EXPECT_EQ(waitpid(static_cast<pid_t>(shared->copy_pid), nullptr, 0), -1);
                siginfo_t info{};
                EXPECT_EQ(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED), -1);
                EXPECT_EQ(errno, ECHILD);
                shared->go_on = true;  // The second turn: it has ended.
                EXPECT_TRUE(comes_true([&] { return is_on_the_list_only(shared->copy_pid); }));
              }
              expect_ends_with(7);
              expect_no_child(__WALL);
            }),
            0);
}

TEST_F(ProcessCopyTest, AWaitThatBlocksFindsTheHostsOwnChild) {
  EXPECT_EQ(in_child([this] {
              ASSERT_TRUE(make_and_let_run(go_on_when_told));
              const pid_t own = fork();
              if (own == 0) {
                while (kill(static_cast<pid_t>(shared->copy_pid), 0) == 0) nap();  // Until it is off the list.
                _exit(3);
              }
              std::atomic<pid_t> found{0};
              int status = 0;
              std::thread waits([&] { found = waitpid(-1, &status, 0); });
              shared->go_on = true;
              expect_ends_with(7);
              waits.join();
              EXPECT_EQ(found, own);
              EXPECT_EQ(WEXITSTATUS(status), 3);
            }),
            0);
}

TEST_F(ProcessCopyTest, NoSignalTellsOfItsEnd) {
  EXPECT_EQ(in_child([this] {
              count_signals({SIGCHLD}, *shared);
              ASSERT_TRUE(make(go_on_when_told));
              shared->go_on = true;
              expect_ends_with(7);
              ASSERT_TRUE(make([](Shared&) {
                __builtin_trap();
                return 0;
              }));
              expect_was_killed(SIGILL);
              EXPECT_EQ(shared->handled, 0);
            }),
            0);
}

TEST_F(ProcessCopyTest, AHostThatIgnoresItsChildrenChangesNothing) {
  EXPECT_EQ(in_child([this] {
              signal(SIGCHLD, SIG_IGN);
              ASSERT_TRUE(make([](Shared&) { return 9; }));
              expect_ends_with(9);
            }),
            0);
}

// What a terminal sends for Ctrl-C reaches the host alone, and no handler of the host's runs in the copy.
TEST_F(ProcessCopyTest, NoSignalForTheGroupReachesIt) {
  EXPECT_EQ(in_child([this] {
              ASSERT_EQ(setpgid(0, 0), 0);
              count_signals({SIGINT, SIGTERM, SIGALRM, SIGUSR1}, *shared);
              ASSERT_TRUE(make_and_let_run(go_on_when_told));
              for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGUSR1}) ASSERT_EQ(kill(0, signal), 0);
              EXPECT_EQ(shared->handled, 4);
              const auto pid = static_cast<pid_t>(shared->copy_pid);
              EXPECT_NE(getpgid(pid), getpgrp());
              EXPECT_EQ(getsid(pid), getsid(0));
              for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) ASSERT_EQ(kill(pid, signal), 0);
              shared->go_on = true;
              expect_ends_with(7);
              EXPECT_EQ(shared->handled, 4);
            }),
            0);
}

// The kernel tells of a stop whatever the exit signal is.
TEST_F(ProcessCopyTest, WhenTheGroupIsStoppedTheHostHearsOfNoChild) {
  const pid_t host = fork();
  if (host == 0) {
    setpgid(0, 0);
    alarm(60);
    count_signals({SIGCHLD}, *shared);
    if (!make_and_let_run(go_on_when_told)) _exit(1);
    shared->seen[0] = 1;
    while (!shared->go_on) nap();
    const CopyEnd end = wait();
    _exit(end.state == CopyState::kEnded && shared->handled == 0 ? 0 : 2);
  }
  ASSERT_TRUE(comes_true([&] { return shared->seen[0] == 1; }));
  int status = 0;
  EXPECT_EQ(kill(-host, SIGSTOP), 0);
  EXPECT_EQ(waitpid(host, &status, WUNTRACED), host);
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(kill(-host, SIGCONT), 0);
  EXPECT_EQ(waitpid(host, &status, WCONTINUED), host);
  shared->go_on = true;
  EXPECT_EQ(waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
}

TEST_F(ProcessCopyTest, HoldsNoDescriptor) {
  static int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_TRUE(make_and_let_run([](Shared& told) {
    told.seen[0] = system_call(SYS_fcntl, ends[1], F_GETFD);
    told.seen[1] = sys::open("/dev/null", O_RDONLY);
    return go_on_when_told(told);
  }));
  close(ends[1]);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 0) << "somebody else still holds the end that is written to";
  close(ends[0]);
  shared->go_on = true;
  expect_ends_with(7);
  EXPECT_EQ(shared->seen[0], -EBADF);
  EXPECT_EQ(shared->seen[1], 0) << "the lowest number of an empty table";
  EXPECT_EQ(fcntl(0, F_GETFD), 0);
}

TEST_F(ProcessCopyTest, WhoClosesWhatTheCopyOpenedClosesNothingOfTheHosts) {
  // A lock of fcntl's is given up when any descriptor of its file is closed by its owner.
  const std::string path = testing::TempDir() + "seep_lock." + std::to_string(getpid());
  static int locked;
  locked = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(locked, 0);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(locked, F_SETLK, &lock), 0);
  ASSERT_TRUE(make([](Shared&) { return 0; }));
  expect_ends_with(0);
  EXPECT_EQ(in_child([] {  // Another owner.
              struct flock other {};
              other.l_type = F_WRLCK;
              ASSERT_EQ(fcntl(locked, F_GETLK, &other), 0);
              EXPECT_EQ(other.l_type, F_WRLCK) << "the host's lock is gone";
            }),
            0);
  close(locked);
  unlink(path.c_str());
}

long number_in(const std::string& path) {
  std::ifstream file(path);
  long number = -1;
  file >> number;
  return number;
}

TEST_F(ProcessCopyTest, IsTheFirstToBeKilledForWantOfMemory) {
  const long own = number_in("/proc/self/oom_score_adj");
  ASSERT_TRUE(make_and_let_run(go_on_when_told));
  EXPECT_EQ(number_in("/proc/" + std::to_string(shared->copy_pid) + "/oom_score_adj"), 1000);
  EXPECT_EQ(number_in("/proc/self/oom_score_adj"), own);
  std::ifstream name("/proc/" + std::to_string(shared->copy_pid) + "/comm");
  std::string text;
  name >> text;
  EXPECT_EQ(text, "seep-scan");
}

TEST_F(ProcessCopyTest, LeavesNoCoreAndRunsNoHandlerWhenItCrashes) {
  rlimit most{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &most), 0);
  most.rlim_cur = most.rlim_max;
  EXPECT_EQ(in_child([&] {
              ASSERT_EQ(setrlimit(RLIMIT_CORE, &most), 0);
              count_signals({SIGILL}, *shared);
              ASSERT_TRUE(make([](Shared& told) {
                rlimit limit{};
                getrlimit(RLIMIT_CORE, &limit);
                told.seen[0] = static_cast<long>(limit.rlim_cur);
                __builtin_trap();
                return 0;
              }));
              expect_was_killed(SIGILL);
              EXPECT_EQ(shared->seen[0], most.rlim_max == 0 ? 0 : 1);
              EXPECT_EQ(shared->handled, 0);
              rlimit own{};
              getrlimit(RLIMIT_CORE, &own);
              EXPECT_EQ(own.rlim_cur, most.rlim_max);
            }),
            0);
}

TEST_F(ProcessCopyTest, HasTheHostsNiceness) {
  EXPECT_EQ(in_child([this] {
              ASSERT_EQ(setpriority(PRIO_PROCESS, 0, 7), 0);
              ASSERT_TRUE(make_and_let_run(go_on_when_told));
              EXPECT_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(shared->copy_pid)), 7);
              shared->go_on = true;
              expect_ends_with(7);
            }),
            0);
}

TEST_F(ProcessCopyTest, IsNotARealtimeProcess) {
  const sched_param lowest{1};
  const int allowed = in_child([&] { ASSERT_EQ(sched_setscheduler(0, SCHED_RR, &lowest), 0); });
  if (allowed != 0) GTEST_SKIP() << "not run: no right to a realtime policy";
  EXPECT_EQ(in_child([&] {
              ASSERT_EQ(sched_setscheduler(0, SCHED_RR, &lowest), 0);
              ASSERT_TRUE(make_and_let_run(go_on_when_told));
              EXPECT_EQ(sched_getscheduler(static_cast<pid_t>(shared->copy_pid)), SCHED_OTHER);
              EXPECT_EQ(sched_getscheduler(0), SCHED_RR);
              shared->go_on = true;
              expect_ends_with(7);
            }),
            0);
}

TEST_F(ProcessCopyTest, OutlivesTheThreadThatMadeIt) {
  std::thread([this] { ASSERT_TRUE(make_and_let_run(go_on_when_told)); }).join();
  let_time_pass(60);  // Three times as long as it takes it to look for its host.
  EXPECT_EQ(copy.look().state, CopyState::kRuns);
  shared->go_on = true;
  expect_ends_with(7);
}

TEST_F(ProcessCopyTest, DiesWithTheHost) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t host = fork();
  if (host == 0) {
    if (!make_and_let_run(go_on_for_ever)) _exit(1);
    for (;;) pause();
  }
  ASSERT_TRUE(comes_true([&] { return shared->copy_pid != 0; }));
  kill(host, SIGKILL);
  int status = 0;
  EXPECT_EQ(waitpid(host, &status, 0), host);
  const auto pid = static_cast<pid_t>(shared->copy_pid);
  // Ours now, since it has no parent.
  EXPECT_TRUE(comes_true([&] { return waitpid(pid, &status, WNOHANG) == pid; }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST_F(ProcessCopyTest, IsKilledWhenItsTimeIsOver) {
  ASSERT_TRUE(make(
      [](Shared&) {
        for (volatile bool always = true; always;) {
        }
        return 0;
      },
      kSecond / 20));
  EXPECT_TRUE(comes_true([&] { return is_on_the_list_only(shared->copy_pid); })) << "though the host does not look";
  expect_was_killed(SIGKILL);
}

TEST_F(ProcessCopyTest, IsKilledByTheHostWhenItCannotKillItself) {
  ASSERT_TRUE(make(
      [](Shared&) {
        kill(getpid(), SIGSTOP);
        return 0;
      },
      kSecond / 20));
  expect_was_killed(SIGKILL);
}

TEST_F(ProcessCopyTest, AWaitEndsWhenItsTimeIsOver) {
  EXPECT_EQ(copy.look().state, CopyState::kNone);
  ASSERT_TRUE(make(go_on_for_ever));
  EXPECT_EQ(copy.wait(monotonic_ns() + kSecond / 100).state, CopyState::kRuns);
  EXPECT_FALSE(make([](Shared&) { return 0; })) << "there is one";
  copy.end();
  expect_was_killed(SIGKILL);
  expect_no_child(__WALL);
  ASSERT_TRUE(make([](Shared&) { return 5; }));
  expect_ends_with(5);
  expect_ends_with(5);
}

TEST_F(ProcessCopyTest, AForkOfTheHostHasNone) {
  ASSERT_TRUE(make_and_let_run(go_on_when_told));
  EXPECT_EQ(in_child([this] {
              EXPECT_EQ(copy.look().state, CopyState::kNone);
              copy.end();
              ASSERT_TRUE(make([](Shared&) { return 6; }));
              expect_ends_with(6);
            }),
            0);
  EXPECT_EQ(copy.look().state, CopyState::kRuns);
  shared->go_on = true;
  expect_ends_with(7);
}

TEST_F(ProcessCopyTest, MayBeLookedAtByManyThreads) {
  for (int turn = 0; turn < 20; ++turn) {
    shared->go_on = false;
    ASSERT_TRUE(make(go_on_when_told));
    std::atomic<int> ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const CopyEnd end = wait();
        if (end.state == CopyState::kEnded && end.code == 7) ++ended;
      });
    }
    shared->go_on = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(ended, 4);
  }
}

TEST_F(ProcessCopyTest, OneThatTheHostTookOffTheListIsNotMistakenForAnother) {
  ASSERT_TRUE(make_and_let_run([](Shared&) { return 4; }));
  const auto pid = static_cast<pid_t>(shared->copy_pid);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, __WALL), pid);
  EXPECT_EQ(WEXITSTATUS(status), 4);
  // The host's own child, with the same number.
  pid_t number = pid;
  clone_args arguments{};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uint64_t>(&number);
  arguments.set_tid_size = 1;
  const long own = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (own == 0) syscall(SYS_exit_group, 8);
  const CopyEnd end = copy.look();
  EXPECT_EQ(end.state, CopyState::kTaken);
  EXPECT_EQ(end.code, 0);
  copy.end();
  if (own == -1) GTEST_SKIP() << "not run: no right to choose the number of a process";
  ASSERT_EQ(own, pid);
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 8);
}

TEST_F(ProcessCopyTest, IsNotMadeWhereASandboxForbidsWhatItNeeds) {
  for (const unsigned number : {SYS_clone, SYS_close_range, SYS_wait4, SYS_setitimer, SYS_setpgid}) {
    const SystemGate::Denied before = system_gate.denied();
    SystemGate::Denied denied{};
    denied.add(number);
    system_gate.close(denied);
    EXPECT_FALSE(make([](Shared&) { return 0; }));
    system_gate.open_to(before);
  }
  EXPECT_EQ(copy.look().state, CopyState::kNone);
  EXPECT_EQ(shared->copy_pid, 0);
  expect_no_child(__WALL);
}

TEST_F(ProcessCopyTest, IsNotMadeWhereTheUserMayHaveNoMoreProcesses) {
  EXPECT_EQ(in_child([this] {
              ASSERT_TRUE(syscall(SYS_setresuid, 65534, 65534, 65534) == 0 || geteuid() != 0);
              const rlimit one{1, 1};
              ASSERT_EQ(setrlimit(RLIMIT_NPROC, &one), 0);
              EXPECT_FALSE(make([](Shared&) { return 0; }));
              EXPECT_EQ(copy.look().state, CopyState::kNone);
            }),
            0);
}

}  // namespace
}  // namespace seep::leak_scan
