// SPDX-License-Identifier: Apache-2.0
//
// Children that get signals from the instant of their fork on, whose handlers allocate, over an allocator that may be
// interrupted anywhere: some come while the child is still leaving its parent's recording. The same by the bare system
// call, with argument 2. Argument 1: how many children.
//
// Expected: every child has taken its signals and ends with 0; its own recording has what its handlers did.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "process_truth.h"

enum { kSignals = 12, kBytes = 95, kParentBytes = 45 };

static volatile sig_atomic_t handled;
void* volatile kept[kSignals];
void* volatile held;

__attribute__((noinline)) static void* allocate_in_handler(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* allocate_in_parent(void) { return escape(malloc(kParentBytes)); }

static void on_signal(int number) {
  (void)number;
  kept[handled] = allocate_in_handler();
  handled = handled + 1;
}

static void be_child(void) {
  sigset_t none;
  sigemptyset(&none);
  while (handled < kSignals) usleep(100);
  process_truth((pid_t)syscall(SYS_getpid), "allocate_in_handler", kSignals, kSignals * kBytes, kSignals,
                kSignals * kBytes);
  _exit(0);
}

static void wait_briefly(long rounds) {
  for (volatile long i = 0; i < rounds; ++i) {
  }
}

int main(int argc, char** argv) {
  const int children = argc > 1 ? atoi(argv[1]) : 10;
  const int raw = argc > 2;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigfillset(&action.sa_mask);
  for (int i = 0; i < kSignals; ++i) sigaction(SIGRTMIN + i, &action, NULL);
  int failed = 0;
  for (int i = 0; i < children; ++i) {
    free(held);
    held = allocate_in_parent();
    const pid_t child = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    if (child < 0) return 2;
    if (child == 0) be_child();
    for (int s = 0; s < kSignals; ++s) {
      wait_briefly((i * 7919 + s * 104729) % 30000);
      kill(child, SIGRTMIN + s);
    }
    int status = 1;
    failed += waitpid(child, &status, 0) != child || status != 0;
  }
  printf("%d children, %d failed\n", children, failed);
  const unsigned long made = (unsigned long)children;
  process_truth(getpid(), "allocate_in_parent", made, made * kParentBytes, 1, kParentBytes);
  return failed != 0;
}
