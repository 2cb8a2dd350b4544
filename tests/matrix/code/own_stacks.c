// SPDX-License-Identifier: Apache-2.0
//
// Threads on stacks of the program's own (pthread_attr_setstack): from malloc, from a static array, in the middle of
// a mapping, with memory that cannot be read just above, and 64 of them one after the other on one and the same.
//
// Expected: everything is counted in the function that allocated, and its trace is whole.
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "truth.h"

enum { kStackBytes = 64 << 10, kTimes = 50, kAgain = 64, kBytes = 1500 };

__attribute__((noinline)) static void* allocates_on_own_stack(int depth) {
  if (depth > 0) return escape(allocates_on_own_stack(depth - 1));
  return escape(malloc(kBytes));
}

static void* body(void* argument) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = allocates_on_own_stack(i);
    if (i != 0) free(block);
  }
  return argument;
}

static void run_on(void* stack, size_t bytes) {
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  if (pthread_attr_setstack(&attributes, stack, bytes) != 0 || pthread_create(&thread, &attributes, body, NULL) != 0) {
    abort();
  }
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
}

int main(void) {
  static _Alignas(4096) char static_stack[kStackBytes];
  void* from_malloc = aligned_alloc(4096, kStackBytes);
  char* mapped = mmap(NULL, 4 * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  run_on(from_malloc, kStackBytes);
  run_on(static_stack, kStackBytes);
  run_on(mapped + kStackBytes, kStackBytes);
  // A large one, then a smaller one below what cannot be read any more.
  run_on(mapped, 4 * kStackBytes);
  mprotect(mapped + 2 * kStackBytes, 2 * kStackBytes, PROT_NONE);
  run_on(mapped, 2 * kStackBytes);
  munmap(mapped + kStackBytes, 3 * kStackBytes);
  for (int i = 0; i < kAgain; ++i) run_on(mapped, kStackBytes);
  free(from_malloc);
  const unsigned long threads = 5 + kAgain;
  truth_site("allocates_on_own_stack", threads * kTimes, threads * kTimes * kBytes, threads, threads * kBytes);
  return 0;
}
