// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose addresses come into the hands of other threads by way of the tool alone: eight threads allocate and free
// while the scan stops them, so that some stand in the tool's own code, which looks through what it knows of blocks.
//
// Expected: all leaked blocks are definite.
#include "threads.h"

enum { kThreads = 8, kLeaks = 5000 };

static atomic_long rounds;

SITE static void leaked(void) { blank(48); }

static void* allocates(void* unused) {
  atomic_fetch_add(&threads_there, 1);
  for (;;) {
    void* volatile block = escape(malloc(64));
    free((void*)block);
    atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed);
  }
  return unused;
}

int main(void) {
  for (int i = 0; i < kLeaks; ++i) leaked();
  for (int i = 0; i < kThreads; ++i) begin(allocates);
  wait_for_threads(kThreads);
  while (atomic_load(&rounds) < 20000) sched_yield();
  tell("leaked", "definite", kLeaks, kLeaks * 48);
  tell_alive("allocates");
  last_words();
  return 0;
}
