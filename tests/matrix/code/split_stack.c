// SPDX-License-Identifier: Apache-2.0
//
// Compiled with -fsplit-stack: a thread's stack begins with some pages and grows by segments of libgcc's, which lie
// anywhere. Recursion into many segments and back, with an allocation in each frame.
//
// Expected: as without seep; everything is counted in the function that allocated.
#include <pthread.h>

#include "truth.h"

enum { kDepth = 60, kTimes = 5, kBytes = 1500 };

__attribute__((noinline)) static int allocates_in_segment(int depth) {
  volatile char frame[6000];
  frame[depth] = 1;
  void* block = escape(malloc(kBytes));
  const int below = depth == 0 ? 0 : allocates_in_segment(depth - 1);
  free(block);
  return below + frame[depth];
}

static void* body(void* argument) {
  for (int i = 0; i < kTimes; ++i) {
    if (allocates_in_segment(kDepth - 1) != kDepth) abort();
  }
  return argument;
}

int main(void) {
  pthread_t thread;
  body(NULL);
  pthread_create(&thread, NULL, body, NULL);
  pthread_join(thread, NULL);
  truth_site("allocates_in_segment", 2 * kTimes * kDepth, 2ul * kTimes * kDepth * kBytes, 0, 0);
  puts("ends well");
  return 0;
}
