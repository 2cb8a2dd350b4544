// SPDX-License-Identifier: Apache-2.0
//
// Recursion 100,000 frames deep, with allocations at the bottom of it, halfway and at the top; in a thread with a large
// stack and on the main one (whose mapping grows meanwhile).
//
// Expected: each is counted in the function that allocated, with as many frames as the depth limit says.
#include <pthread.h>
#include <stdint.h>

#include "truth.h"

enum { kThreadFrames = 100000, kMainFrames = 40000, kTimes = 40, kBytes = 4000 };

__attribute__((noinline)) static void allocates_deep_down(void) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = escape(malloc(kBytes));
    if (i != 0) free(block);
  }
}

__attribute__((noinline)) static intptr_t descend(intptr_t depth, intptr_t all) {
  if (depth == 0 || depth == all / 2 || depth == all) allocates_deep_down();
  if (depth == 0) return 0;
  return (intptr_t)escape((void*)descend(depth - 1, all)) + 1;
}

static void* body(void* frames) { return (void*)descend((intptr_t)frames, (intptr_t)frames); }

int main(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  void* result;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 20);
  if (pthread_create(&thread, &attributes, body, (void*)(intptr_t)kThreadFrames) != 0) return 2;
  pthread_join(thread, &result);
  printf("%ld and %ld frames\n", (long)(intptr_t)result, (long)descend(kMainFrames, kMainFrames));
  truth_site("allocates_deep_down", 6 * kTimes, 6 * kTimes * kBytes, 6, 6 * kBytes);
  return 0;
}
