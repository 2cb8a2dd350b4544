// SPDX-License-Identifier: Apache-2.0
//
// All other threads stand still between stop and resume, in each way, and their registers are known. The truth: what
// the threads themselves count and hold, and /proc.
#include "preload/leak_scan/stop_threads.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "record/aside.h"
#include "stop_test.h"

namespace seep::leak_scan {
namespace {

struct Way {
  const char* name;
  StopOptions options;
  StopWay way;
};

class StopThreads : public testing::TestWithParam<Way> {
 protected:
  [[nodiscard]] bool by_ptrace() const { return GetParam().way == StopWay::kPtrace; }
};

INSTANTIATE_TEST_SUITE_P(EachWay, StopThreads,
                         testing::Values(Way{"Ptrace", kByPtrace, StopWay::kPtrace},
                                         Way{"Signal", kBySignal, StopWay::kSignal}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(StopThreads, SixtyFourThatCountStandStill) {
  const CountingThreads threads(64);
  std::vector<uint64_t> before(64), after(64);
  Scanner scanner;
  const StopResult result = scanner.stop(GetParam().options);
  threads.read(before);
  let_time_pass();
  threads.read(after);
  EXPECT_TRUE(scanner.threads.resume());
  EXPECT_EQ(result.way, GetParam().way);
  EXPECT_TRUE(result.everyone());
  EXPECT_EQ(result.stopped_threads, 64u);
  EXPECT_EQ(before, after);
  EXPECT_TRUE(threads.all_go_on());
}

TEST_P(StopThreads, AHundredTimesInARow) {
  const CountingThreads threads(4);
  std::vector<uint64_t> before(4), after(4);
  Scanner scanner;
  const uint64_t memory_at_first = scanner.memory.used_bytes();
  uint64_t memory_once = memory_at_first;
  for (int i = 0; i < 100; ++i) {
    const StopResult result = scanner.stop(GetParam().options);
    threads.read(before);
    syscall(SYS_sched_yield);
    threads.read(after);
    ASSERT_TRUE(scanner.threads.resume());
    ASSERT_TRUE(result.everyone());
    ASSERT_EQ(result.stopped_threads, 4u);
    ASSERT_EQ(before, after);
    if (i == 0) memory_once = scanner.memory.used_bytes();
  }
  EXPECT_EQ(scanner.memory.used_bytes(), memory_once);
  EXPECT_TRUE(threads.all_go_on());
}

// Values that nothing else has; the thread keeps them in registers alone, and says when they are there.
struct Planted {
  std::atomic<uint32_t> ready{0}, end{0};
  uint64_t disguised_preserved = ~0x00005EE9'11111110, disguised_scratch = ~0x00005EE9'22222220,
           disguised_vector = ~0x00005EE9'33333330;
  uintptr_t sp = 0;
};

__attribute__((noinline)) void hold_in_registers(Planted& planted) {
  __asm__ volatile(
      "movq %[p], %%r14\n\t"
      "notq %%r14\n\t"
      "movq %[s], %%r10\n\t"
      "notq %%r10\n\t"
      "movq %[v], %%rax\n\t"
      "notq %%rax\n\t"
      "movq %%rax, %%xmm9\n\t"
      "xorl %%eax, %%eax\n\t"
      "movq %%rsp, (%[sp])\n\t"
      "movl $1, (%[ready])\n\t"
      "1: pause\n\t"
      "cmpl $0, (%[end])\n\t"
      "je 1b\n\t"
      "xorl %%r10d, %%r10d\n\t"
      "pxor %%xmm9, %%xmm9"
      :
      : [p] "r"(planted.disguised_preserved), [s] "r"(planted.disguised_scratch), [v] "r"(planted.disguised_vector),
        [sp] "r"(&planted.sp), [ready] "r"(&planted.ready), [end] "r"(&planted.end)
      : "rax", "r10", "r14", "xmm9", "memory", "cc");
}

TEST_P(StopThreads, RegistersStackAndThreadPointerAreTheThreads) {
  Planted planted;
  pid_t tid = 0;
  pthread_t self = 0;
  uintptr_t low = 0, high = 0;
  std::thread holder([&] {
    tid = thread_id();
    self = pthread_self();
    pthread_attr_t attributes;
    void* start;
    size_t bytes;
    pthread_getattr_np(self, &attributes);
    pthread_attr_getstack(&attributes, &start, &bytes);
    pthread_attr_destroy(&attributes);
    low = reinterpret_cast<uintptr_t>(start);
    high = low + bytes;
    hold_in_registers(planted);
  });
  ASSERT_TRUE(comes_true([&] { return planted.ready != 0; }));
  Scanner scanner;
  const StopResult result = scanner.stop(GetParam().options);
  EXPECT_TRUE(scanner.threads.resume());
  planted.end = 1;
  holder.join();
  ASSERT_TRUE(result.everyone());
  const StoppedThread* thread = find(scanner.threads, tid);
  ASSERT_NE(thread, nullptr);
  EXPECT_EQ(thread->sp, planted.sp);
  EXPECT_GE(thread->sp, low);
  EXPECT_LT(thread->sp, high);
  EXPECT_EQ(thread->thread_pointer, self);
  EXPECT_TRUE(holds(*thread, ~planted.disguised_preserved));
  EXPECT_TRUE(holds(*thread, ~planted.disguised_scratch));
  EXPECT_TRUE(holds(*thread, ~planted.disguised_vector));
  EXPECT_LT(thread->general_words, thread->word_count) << "the vector registers' come after the general ones'";
}

TEST_P(StopThreads, TheCallerIsThereWithItsStack) {
  const CountingThreads threads(1);
  Scanner scanner;
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  ASSERT_TRUE(scanner.stop(GetParam().options).everyone());
  EXPECT_TRUE(scanner.threads.resume());
  const StoppedThread* own = find(scanner.threads, thread_id());
  ASSERT_NE(own, nullptr);
  EXPECT_EQ(own->state, StopState::kItself);
  EXPECT_LT(own->sp, here);
  EXPECT_GT(own->sp, here - (64 << 10));
  EXPECT_EQ(own->thread_pointer, pthread_self());
}

TEST_P(StopThreads, ThoseThatAreBornAndDieAllTheTime) {
  std::atomic<bool> end{false};
  std::atomic<uint64_t> work{0};
  std::vector<std::thread> parents;
  for (int i = 0; i < 4; ++i) {
    parents.emplace_back([&] {
      while (!end) {
        std::thread first([&] { ++work; });
        std::thread second([&] { ++work; });
        first.join();
        second.join();
      }
    });
  }
  ASSERT_TRUE(comes_true([&] { return work > 100; }));
  Scanner scanner;
  for (int i = 0; i < 50; ++i) {
    const uint64_t at_first = work;
    const StopResult result = scanner.stop(GetParam().options);
    const uint64_t before = work;
    let_time_pass(1);
    const uint64_t after = work;
    ASSERT_TRUE(scanner.threads.resume());
    ASSERT_TRUE(result.everyone()) << result.settled << " " << result.missed_threads;
    ASSERT_GE(result.stopped_threads, 4u);
    ASSERT_EQ(before, after);
    ASSERT_TRUE(comes_true([&] { return work > at_first + 10; }));
  }
  end = true;
  for (std::thread& parent : parents) parent.join();
}

TEST_P(StopThreads, ThoseThatBlockAllSignals) {
  sigset_t all;
  sigfillset(&all);
  {
    const CountingThreads open(2), blocking(3, [&] { pthread_sigmask(SIG_SETMASK, &all, nullptr); });
    std::vector<uint64_t> before(3), after(3);
    Scanner scanner;
    const StopResult result = scanner.stop(GetParam().options);
    blocking.read(before);
    let_time_pass(20);
    blocking.read(after);
    EXPECT_TRUE(scanner.threads.resume());
    EXPECT_TRUE(result.settled);
    EXPECT_EQ(result.stopped_threads, by_ptrace() ? 5u : 2u);
    EXPECT_EQ(result.missed_threads, by_ptrace() ? 0u : 3u);
    EXPECT_EQ(result.everyone(), by_ptrace());
    EXPECT_EQ(before == after, by_ptrace());
    EXPECT_TRUE(open.all_go_on());
    EXPECT_TRUE(blocking.all_go_on());
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(status_field(blocking.tid(i), "SigPnd"), "0000000000000000");
  }
}

TEST_P(StopThreads, LeavesNoSignalThatWouldKillOneThatUnblocksItLater) {
  std::atomic<bool> blocked{false}, unblock{false};
  std::thread thread([&] {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    blocked = true;
    while (!unblock) std::this_thread::yield();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  });
  ASSERT_TRUE(comes_true([&] { return blocked.load(); }));
  Scanner scanner;
  const StopResult result = scanner.stop(GetParam().options);
  EXPECT_EQ(result.way, GetParam().way);
  EXPECT_TRUE(scanner.threads.resume());
  unblock = true;
  thread.join();
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
    struct sigaction action;
    ASSERT_EQ(sigaction(signal, nullptr, &action), 0);
    EXPECT_EQ(action.sa_handler, SIG_DFL) << signal;
  }
}

constinit std::atomic<int> children_heard{0};

size_t descriptors() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST_P(StopThreads, TheHostHearsOfNoChild) {
  struct sigaction action {
  }, old;
  action.sa_handler = [](int) { ++children_heard; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGCHLD, &action, &old);
  children_heard = 0;
  const size_t before = descriptors();
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  pid_t waited_for = 0;
  std::atomic<pid_t> tid{0};
  std::thread waiter([&] {
    tid = thread_id();
    waited_for = waitpid(-1, nullptr, 0);
  });
  ASSERT_TRUE(comes_true([&] { return tid != 0 && state_of(tid) == 'S'; }));
  Scanner scanner;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(scanner.stop(GetParam().options).everyone());
    EXPECT_TRUE(scanner.threads.resume());
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), 0) << "but for the child that sleeps there is none";
  }
  EXPECT_EQ(waited_for, 0);
  EXPECT_EQ(children_heard, 0);
  kill(child, SIGKILL);
  waiter.join();
  EXPECT_EQ(waited_for, child);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(descriptors(), before);
  sigaction(SIGCHLD, &old, nullptr);
}

// One that is on its way when its thread stops is neither lost nor doubled. Each thread sends itself one after the
// other, so that many a stop finds it between a signal and its handler.
constinit std::atomic<uint64_t> signals_taken{0};

TEST_P(StopThreads, SignalsOfTheHostArriveOnce) {
  struct sigaction action {
  }, old;
  action.sa_handler = [](int) { ++signals_taken; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, &old);
  signals_taken = 0;
  std::atomic<uint64_t> sent{0};
  std::atomic<bool> end{false};
  std::vector<std::thread> senders;
  for (int i = 0; i < 2; ++i) {
    senders.emplace_back([&] {
      while (!end) {
        ++sent;
        syscall(SYS_tgkill, getpid(), thread_id(), SIGUSR1);  // Delivered when the call returns.
      }
    });
  }
  Scanner scanner;
  for (int i = 0; i < 300; ++i) {
    const uint64_t before = signals_taken;
    ASSERT_TRUE(scanner.stop(GetParam().options).everyone());
    ASSERT_TRUE(scanner.threads.resume());
    ASSERT_TRUE(comes_true([&] { return signals_taken > before + 10; }));
  }
  end = true;
  for (std::thread& sender : senders) sender.join();
  EXPECT_EQ(signals_taken, sent);
  sigaction(SIGUSR1, &old, nullptr);
}

TEST_P(StopThreads, ErrnoOfAThreadIsItsOwn) {
  std::atomic<bool> ready{false}, end{false};
  std::atomic<int> kept{0};
  std::thread thread([&] {
    errno = 4711;
    ready = true;
    while (!end) {
    }
    kept = errno;
  });
  ASSERT_TRUE(comes_true([&] { return ready.load(); }));
  Scanner scanner;
  errno = 4712;
  const StopResult result = scanner.stop(GetParam().options);
  const int own = errno;
  EXPECT_TRUE(scanner.threads.resume());
  end = true;
  thread.join();
  EXPECT_TRUE(result.everyone());
  EXPECT_EQ(kept, 4711);
  EXPECT_EQ(own, 4712);
}

TEST_P(StopThreads, OneThatWaitsForAVforkIsMissedAndGoesOn) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  std::atomic<pid_t> tid{0};
  std::thread thread([&] {
    tid = thread_id();
    char byte;
    const pid_t child = vfork();
    if (child == 0) {
      syscall(SYS_read, pipe_ends[0], &byte, 1);
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  });
  ASSERT_TRUE(comes_true([&] { return tid != 0 && state_of(tid) == 'D'; }));
  Scanner scanner;
  const uint64_t begin = monotonic_ns();
  const StopResult result = scanner.stop(GetParam().options, kSecond / 10);
  EXPECT_TRUE(scanner.threads.resume());
  EXPECT_GE(monotonic_ns() - begin, kSecond / 10);
  EXPECT_EQ(result.missed_threads, 1u);
  EXPECT_FALSE(result.everyone());
  ASSERT_EQ(write(pipe_ends[1], "x", 1), 1);
  thread.join();
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_P(StopThreads, TwoThatStopDoNotStopEachOther) {
  std::atomic<int> stops{0};
  std::atomic<bool> end{false};
  std::vector<std::thread> scanners;
  for (int i = 0; i < 3; ++i) {
    scanners.emplace_back([&] {
      Scanner scanner;
      while (!end) {
        if (scanner.stop(GetParam().options).way == StopWay::kNone) continue;
        ASSERT_TRUE(scanner.threads.resume());
        ++stops;
      }
    });
  }
  EXPECT_TRUE(comes_true([&] { return stops > 100; }));
  end = true;
  for (std::thread& thread : scanners) thread.join();
}

// What seep itself does aside (record/aside.h) while it stops the thread that waits for it.
TEST_P(StopThreads, ThreadsThatDoSomethingAside) {
  std::atomic<bool> end{false};
  std::atomic<uint64_t> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!end) {
        if (call_aside([] { let_time_pass(1); })) ++done;
      }
    });
  }
  ASSERT_TRUE(comes_true([&] { return done > 10; }));
  Scanner scanner;
  for (int i = 0; i < 50; ++i) {
    const uint64_t before = done;
    const StopResult result = scanner.stop(GetParam().options, 5 * kSecond);
    ASSERT_TRUE(scanner.threads.resume());
    ASSERT_TRUE(result.everyone()) << result.missed_threads;
    ASSERT_TRUE(comes_true([&] { return done > before; }));
  }
  end = true;
  for (std::thread& thread : threads) thread.join();
}

// Ctrl-Z while threads are stopped: the shell hears of it at once, and `fg` works.
TEST_P(StopThreads, JobControlStopsAndContinuesTheProcessMeanwhile) {
  int told[2], go_on[2];
  ASSERT_EQ(pipe(told), 0);
  ASSERT_EQ(pipe(go_on), 0);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    static const CountingThreads threads(3);
    static Scanner scanner;
    std::vector<uint64_t> before(3), after(3);
    char byte = 'x';
    if (!scanner.stop(GetParam().options).everyone()) _exit(1);
    threads.read(before);
    if (write(told[1], &byte, 1) != 1 || read(go_on[0], &byte, 1) != 1) _exit(2);
    threads.read(after);
    _exit(!scanner.threads.resume() ? 3 : before != after ? 4 : threads.all_go_on() ? 0 : 5);
  }
  char byte;
  ASSERT_EQ(read(told[0], &byte, 1), 1);
  for (int i = 0; i < 3; ++i) {
    int status = 0;
    kill(child, SIGSTOP);
    EXPECT_TRUE(comes_true([&] { return waitpid(child, &status, WUNTRACED | WNOHANG) == child; }));
    EXPECT_TRUE(WIFSTOPPED(status));
    kill(child, SIGCONT);
    EXPECT_TRUE(comes_true([&] { return waitpid(child, &status, WCONTINUED | WNOHANG) == child; }));
    EXPECT_TRUE(WIFCONTINUED(status));
  }
  ASSERT_EQ(write(go_on[1], "x", 1), 1);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int fd : {told[0], told[1], go_on[0], go_on[1]}) close(fd);
}

// Threads that end while others are stopped are not waited for, nor a leader that is dead already.
TEST_P(StopThreads, ADeadLeaderIsNoProblem) {
  const StopOptions options = GetParam().options;
  const StopWay way = GetParam().way;
  const int status = in_child([&] {
    static std::thread counting([] {
      for (volatile uint64_t i = 0;;) i = i + 1;
    });
    static std::thread scanning([options, way] {
      comes_true([] { return state_of(getpid()) == 'Z'; });
      Scanner scanner;
      const StopResult result = scanner.stop(options);
      const bool resumed = scanner.threads.resume();
      _exit(result.way == way && result.everyone() && result.stopped_threads == 1 && resumed ? 0 : 1);
    });
    syscall(SYS_exit, 0);  // This thread alone.
  });
  EXPECT_EQ(status, 0);
}

TEST_P(StopThreads, AloneThereIsNothingToStop) {
  const StopOptions options = GetParam().options;
  EXPECT_EQ(in_child([&] {
              Scanner scanner;
              const StopResult result = scanner.stop(options);
              EXPECT_EQ(result.way, StopWay::kAlone);
              EXPECT_TRUE(result.everyone());
              EXPECT_EQ(scanner.threads.threads().size(), 1u);
              EXPECT_TRUE(scanner.threads.resume());
            }),
            0);
}

TEST_P(StopThreads, WithoutMemoryNothingIsStopped) {
  const CountingThreads threads(2);
  PrivateMemory memory(4096);
  ThreadStop stop(memory);
  EXPECT_EQ(stop.stop(monotonic_ns() + kSecond, GetParam().options).way, StopWay::kNone);
  EXPECT_TRUE(threads.all_go_on());
}

// How long it takes, for the record: no bound is asserted.
TEST_P(StopThreads, Times) {
  for (const size_t count : {1, 64, 1000}) {
    std::mutex mutex;
    std::condition_variable condition;
    bool end = false;
    std::atomic<size_t> begun{0};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        std::unique_lock lock(mutex);
        ++begun;
        condition.wait(lock, [&] { return end; });
      });
    }
    ASSERT_TRUE(comes_true([&] { return begun == count; }));
    Scanner scanner;
    uint64_t best_stop = UINT64_MAX, best_resume = UINT64_MAX;
    for (int i = 0; i < 5; ++i) {
      const uint64_t begin = monotonic_ns();
      const StopResult result = scanner.stop(GetParam().options);
      const uint64_t stopped = monotonic_ns();
      ASSERT_TRUE(scanner.threads.resume());
      best_stop = std::min(best_stop, stopped - begin);
      best_resume = std::min(best_resume, monotonic_ns() - stopped);
      ASSERT_TRUE(result.everyone());
      ASSERT_EQ(result.stopped_threads, count);
    }
    printf("%s: %zu sleeping threads stop in %.2f ms and go on in %.2f ms\n", GetParam().name, count,
           static_cast<double>(best_stop) / 1e6, static_cast<double>(best_resume) / 1e6);
    {
      const std::lock_guard lock(mutex);
      end = true;
    }
    condition.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
}

class StartClock : public testing::Environment {
  void SetUp() override { start_clock(); }
};
[[maybe_unused]] const testing::Environment* const kClock = testing::AddGlobalTestEnvironment(new StartClock);

}  // namespace
}  // namespace seep::leak_scan
