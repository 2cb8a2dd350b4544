// SPDX-License-Identifier: Apache-2.0
//
// How long a leak check keeps a program's other threads from running: a heap of blocks that point to each other, eight
// threads that sleep, and one that reads the clock without a pause and keeps the longest gap between two readings. The
// check is LeakSanitizer's recoverable one, by its name: of whoever has that (seep, or LeakSanitizer, which the same
// source is linked with as pause_lsan). Where nobody has: a bare clone of the process, which ends at once.
//   pause HEAP_BYTES CHECKS
// Prints a line for each check, in nanoseconds: how long the call took, the longest gap meanwhile; and for comparison
// the longest gap in as long a time before (0.2 s at most), in which nothing was done.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "random_number.h"

enum { kIdleNs = 200000000, kSleeping = 8, kRecent = 1 << 16, kLeastBytes = 16, kMostBytes = 1024 };

struct block {
  struct block* child;
  struct block* sibling;
};

static struct block* root;
static struct block* recent[kRecent];
static _Atomic uint64_t longest_gap_ns, last_reading_ns;
static atomic_bool stop;

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// Each block hangs from one of the last that were made before it, at random.
static void build_heap(uint64_t bytes) {
  for (uint64_t made = 0, blocks = 0; made < bytes; ++blocks) {
    const size_t size = kLeastBytes + random_number() % (kMostBytes - kLeastBytes + 1);
    struct block* block = malloc(size);
    if (block == NULL) abort();
    memset(block, 'a', size);
    struct block** parent =
        blocks == 0 ? &root : &recent[random_number() % (blocks < kRecent ? blocks : kRecent)]->child;
    block->child = NULL;
    block->sibling = *parent;
    *parent = block;
    recent[blocks % kRecent] = block;
    made += size;
  }
  memset(recent, 0, sizeof recent);
}

static void* sleep_on(void* unused) {
  for (;;) pause();
  return unused;
}

static void* watch_the_clock(void* unused) {
  (void)unused;
  uint64_t last = now_ns();
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    const uint64_t now = now_ns();
    if (now - last > atomic_load_explicit(&longest_gap_ns, memory_order_relaxed)) {
      atomic_store_explicit(&longest_gap_ns, now - last, memory_order_relaxed);
    }
    last = now;
    atomic_store_explicit(&last_reading_ns, now, memory_order_release);
  }
  return NULL;
}

// The caller's own time in the call; other threads run on.
static void clone_alone(void) {
  const long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (pid == 0) syscall(SYS_exit_group, 0);
  if (pid < 0) abort();
}

// What lasts when the call returns is a gap of that call's.
static uint64_t gap_until(uint64_t time_ns) {
  const struct timespec moment = {0, 100000};
  while (atomic_load_explicit(&last_reading_ns, memory_order_acquire) < time_ns) nanosleep(&moment, NULL);
  return atomic_load(&longest_gap_ns);
}

static uint64_t gap_in(uint64_t for_ns) {
  atomic_store(&longest_gap_ns, 0);
  const struct timespec time = {(time_t)(for_ns / 1000000000), (long)(for_ns % 1000000000)};
  nanosleep(&time, NULL);
  return gap_until(now_ns());
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  int (*check)(void);
  *(void**)&check = dlsym(RTLD_DEFAULT, "__lsan_do_recoverable_leak_check");  // As POSIX has it.
  pthread_t thread, watcher;
  for (int i = 0; i < kSleeping; ++i) {
    if (pthread_create(&thread, NULL, sleep_on, NULL) != 0) return 1;
  }
  build_heap(strtoull(arguments[1], NULL, 10));
  if (pthread_create(&watcher, NULL, watch_the_clock, NULL) != 0) return 1;
  uint64_t idle_ns = gap_in(kIdleNs);
  for (long i = strtol(arguments[2], NULL, 10); i > 0; --i) {
    atomic_store(&longest_gap_ns, 0);
    const uint64_t begun = now_ns();
    if (check == NULL) clone_alone();
    else if (check() != 0) return 3;  // Nothing is leaked.
    const uint64_t ended = now_ns(), gap_ns = gap_until(ended);
    printf("%llu %llu %llu\n", (unsigned long long)(ended - begun), (unsigned long long)gap_ns,
           (unsigned long long)idle_ns);
    if (check == NULL) waitpid(-1, NULL, __WCLONE);
    idle_ns = gap_in(ended - begun < kIdleNs ? ended - begun : kIdleNs);
  }
  atomic_store(&stop, 1);
  pthread_join(watcher, NULL);
  fflush(stdout);
  _exit(0);  // Whoever would check once more at the end need not.
}
