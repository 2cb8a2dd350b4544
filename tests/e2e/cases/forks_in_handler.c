// SPDX-License-Identifier: Apache-2.0
//
// Allocates, reallocates and frees without a pause, over signal_safe_malloc, while a timer's signal handler forks, so
// mostly in the middle of an allocation. Usage: forks_in_handler CHILDREN [raw]: by the bare system call, which no hook
// and no atfork handler sees. Child N leaks one block of 100,000 + N bytes
// in the handler; even ones then call _exit there, odd ones return into what was interrupted and end at its next
// end. The parent holds at last 50 blocks of 1,000 bytes and prints what it did, as "rounds N children N failed N".
// Expected: the parent's numbers are exact (each round: two allocations of 100 and 300 bytes in work(), both freed),
// and each child has its own block at leak_in_child, and its parent's blocks at no site.

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kHeld = 50, kMostUnwaited = 8 };

void* volatile held[kHeld];
void* volatile leaked;
static volatile sig_atomic_t children, unwaited, failed, is_child;
static int most_children, raw;

static __attribute__((noinline)) void leak_in_child(size_t bytes) { leaked = malloc(bytes); }

static __attribute__((noinline)) void work(void) {
  void* volatile block = malloc(100);
  block = realloc(block, 300);
  free(block);
}

static __attribute__((noinline)) void hold(void) {
  for (int i = 0; i < kHeld; ++i) held[i] = malloc(1000);
}

// From 50 to 1,050 us later, so that the instants drift over all of work().
static void set_timer(void) {
  const struct itimerval timer = {{0, 0}, {0, 50 + (children * 7919) % 1000}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void wait_for_one(void) {
  int status = 1;
  if (wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) --unwaited;
  else failed = 1;
}

static void on_timer(int number) {
  (void)number;
  if (is_child || children == most_children) return;
  const pid_t child = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
  if (child < 0) {
    failed = 1;
  } else if (child == 0) {
    leak_in_child(100000 + (size_t)children);
    if (children % 2 == 0) _exit(0);
    is_child = 1;
    return;
  }
  ++children;
  if (++unwaited == kMostUnwaited) wait_for_one();
  set_timer();
}

int main(int argc, char** argv) {
  most_children = argc > 1 ? atoi(argv[1]) : 10;
  raw = argc > 2 && strcmp(argv[2], "raw") == 0;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_timer;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  set_timer();
  long rounds = 0;
  for (; children < most_children && !failed; ++rounds) {
    work();
    if (is_child) _exit(0);
  }
  hold();
  while (unwaited > 0 && !failed) wait_for_one();
  char line[128];
  const int bytes =
      snprintf(line, sizeof line, "rounds %ld children %d failed %d\n", rounds, (int)children, (int)failed);
  return write(STDOUT_FILENO, line, (size_t)bytes) != bytes || failed;
}
