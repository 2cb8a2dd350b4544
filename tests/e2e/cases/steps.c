// SPDX-License-Identifier: Apache-2.0
//
// Does what its arguments say, one after the other, says each on standard output when it is done, and returns 5:
//   leak:N      leaks N blocks of 1,000 bytes at leak_here()
//   traces:N    leaks a block of 48 bytes at leak_at_leaf() by each of N stack traces, all different
//   churn:MS    allocates and frees for so long, at churn()
//   hold:BYTES  takes so much memory and touches it, without the allocator
//   lock        mlockall(MCL_CURRENT | MCL_FUTURE)
//   lock-future mlockall(MCL_FUTURE)
//   drop        becomes the user 65534 (nobody), for good
//   pause       says "ready" and waits for a byte on standard input
//   kill        SIGKILL
// Where malloc fails it aborts. Expected: it says and returns the same with and without seep; the blocks are in the
// report, or are counted as lost.

#define _GNU_SOURCE
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void* volatile leaked;
volatile unsigned long depth_sum;
static unsigned long traces;

static void say(const char* what) {
  const size_t bytes = strlen(what);
  if (write(STDOUT_FILENO, what, bytes) != (ssize_t)bytes || write(STDOUT_FILENO, "\n", 1) != 1) _exit(3);
}

static __attribute__((noinline)) void leak_here(void) {
  leaked = malloc(1000);
  if (leaked == NULL) abort();
}

static __attribute__((noinline)) void leak_at_leaf(void) {
  leaked = malloc(48);
  if (leaked == NULL) abort();
}

static __attribute__((noinline)) void churn(void) {
  leaked = malloc(10);
  if (leaked == NULL) abort();
  free(leaked);
}

// A trace for each number: at each level left or right, by its bits.
enum { kLevels = 16 };
static void go_down(unsigned long number, int level);

static __attribute__((noinline)) void go_left(unsigned long number, int level) {
  go_down(number, level);
  depth_sum += 1;
}

static __attribute__((noinline)) void go_right(unsigned long number, int level) {
  go_down(number, level);
  depth_sum += 2;
}

static void go_down(unsigned long number, int level) {
  if (level == kLevels) leak_at_leaf();
  else if ((number >> level & 1) == 0) go_left(number, level + 1);
  else go_right(number, level + 1);
  depth_sum += 3;
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6;
}

static void churn_for(double how_long_ms) {
  for (const double end_ms = now_ms() + how_long_ms; now_ms() < end_ms;) {
    for (int i = 0; i < 1000; ++i) churn();
  }
}

static void hold(size_t bytes) {
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
}

static void drop_privileges(void) {
  if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(4);
}

static void pause_here(void) {
  char byte;
  say("ready");
  if (read(STDIN_FILENO, &byte, 1) < 0) _exit(3);
}

static void do_step(const char* step) {
  const char* colon = strchr(step, ':');
  const unsigned long number = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);
  if (strncmp(step, "leak:", 5) == 0) {
    for (unsigned long i = 0; i < number; ++i) leak_here();
  } else if (strncmp(step, "traces:", 7) == 0) {
    for (unsigned long i = 0; i < number; ++i) go_down(traces++, 0);
  } else if (strncmp(step, "churn:", 6) == 0) {
    churn_for((double)number);
  } else if (strncmp(step, "hold:", 5) == 0) {
    hold(number);
  } else if (strcmp(step, "lock") == 0) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) _exit(4);
  } else if (strcmp(step, "lock-future") == 0) {
    if (mlockall(MCL_FUTURE) != 0) _exit(4);
  } else if (strcmp(step, "drop") == 0) {
    drop_privileges();
  } else if (strcmp(step, "pause") == 0) {
    pause_here();
  } else if (strcmp(step, "kill") == 0) {
    raise(SIGKILL);
  } else {
    _exit(2);
  }
  say(step);
}

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) do_step(argv[i]);
  return 5;
}
