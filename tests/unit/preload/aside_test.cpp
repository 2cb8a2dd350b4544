// SPDX-License-Identifier: Apache-2.0
//
// Work that is done aside uses neither the stack nor the descriptors of the thread that asks for it.
#include "record/aside.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/single_threaded.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

namespace seep {
namespace {

constexpr uintptr_t kFarAway = 32 << 10;

uintptr_t here() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

size_t threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

// libc forgets that there is more than one thread only when it feels like it: in a process that never had another one.
template <typename Check>
int in_a_process_with_one_thread(Check check) {
  const pid_t child = fork();
  if (child == 0) _exit(check() ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Aside, RunsOnAnotherStackWithSignalsBlocked) {
  const uintptr_t own = here();
  bool other_stack = false, blocked = false;
  EXPECT_TRUE(call_aside([&] {
    other_stack = here() - own > kFarAway && own - here() > kFarAway;
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    blocked = sigismember(&mask, SIGUSR1) == 1;
  }));
  EXPECT_TRUE(other_stack);
  EXPECT_TRUE(blocked);
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
}

TEST(Aside, BesideAnotherThreadHasNoDescriptorOfTheHosts) {
  const int open_here = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(open_here, 0);
  const size_t threads_before = threads();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) sched_yield();
  });
  long seen = 0, first = -1, pid = 0;
  EXPECT_TRUE(call_aside([&] {
    seen = system_call(SYS_fcntl, open_here, F_GETFD);
    first = sys::open("/dev/null", O_RDONLY);  // Left open: its table goes with it.
    pid = sys::process_id();
  }));
  EXPECT_EQ(seen, -EBADF);
  EXPECT_EQ(first, 0) << "the lowest number of an empty table";
  EXPECT_EQ(pid, getpid());
  EXPECT_GE(fcntl(open_here, F_GETFD), 0);
  EXPECT_GE(fcntl(0, F_GETFD), 0);
  stop = true;
  other.join();
  close(open_here);
  EXPECT_EQ(threads(), threads_before);
}

TEST(Aside, AloneItDoesWithoutAHelper) {
  const int status = in_a_process_with_one_thread([] {
    const long own = system_call(SYS_gettid);
    long tid = 0;
    return call_aside([&] { tid = system_call(SYS_gettid); }) && (tid == own || __libc_single_threaded == 0);
  });
  EXPECT_EQ(status, 0);
}

TEST(Aside, WhatItLeavesIsNobodysChild) {
  std::thread([] { ASSERT_TRUE(call_aside([] {})); }).join();
  EXPECT_EQ(waitpid(-1, nullptr, __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace seep
