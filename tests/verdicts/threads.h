// SPDX-License-Identifier: Apache-2.0
//
// Threads of the programs of the verdicts that get somewhere and then stay there until the process ends. Runs in the
// program under test. Must never allocate, besides what pthread_create itself does.
#pragma once

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#include "told.h"

static atomic_int threads_there;

// Blocks the calling thread for good, in a futex call.
__attribute__((noinline, unused)) static void stay(void) {
  static atomic_int never;
  atomic_fetch_add(&threads_there, 1);
  while (atomic_load(&never) == 0) syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

// Waits until so many threads are where they stay.
__attribute__((unused)) static void wait_for_threads(int count) {
  const struct timespec moment = {0, 1000000};
  for (int i = 0; i < 20000 && atomic_load(&threads_there) < count; ++i) nanosleep(&moment, NULL);
  must(atomic_load(&threads_there) >= count, "waiting for threads");
}

__attribute__((unused)) static void begin(void* (*run)(void*)) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, run, NULL) == 0, "pthread_create");
}
