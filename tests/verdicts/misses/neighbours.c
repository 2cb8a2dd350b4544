// SPDX-License-Identifier: Apache-2.0
//
// Leaked blocks that an allocator's own words point into: glibc's lists of free chunks, and its pointer to the top of
// the heap, are addresses of headers, and the header of the chunk behind a block of 24 bytes begins inside that block.
// In the main heap, whose lists are in libc's data, and in the heap of a thread.
//
// Expected: all definite; the blocks behind the free chunks, which keep them apart, are reachable.
#include "threads.h"

enum { kPairs = 60 };

static void* live_behind[2][kPairs];

SITE static void* before_free_chunk(void) { return blank(24); }
SITE static void* before_top(void) { return blank(24); }
SITE static void* behind(void) { return blank(24); }

__attribute__((noinline)) static void fill(void** live) {
  void* to_free[kPairs];
  for (int i = 0; i < kPairs; ++i) {
    before_free_chunk();
    to_free[i] = blank(1100 + (i / 2) * 64);
    live[i] = behind();
  }
  before_top();  // The last one to come from the top.
  // Half of them are sorted into the lists of their sizes by a large allocation, half stay in the list of those that
  // are not.
  for (int i = 0; i < kPairs; i += 2) free(to_free[i]);
  free(blank(1000000));
  for (int i = 1; i < kPairs; i += 2) free(to_free[i]);
}

static void* waits(void* unused) {
  fill(live_behind[1]);
  forget();
  stay();
  return unused;
}

int main(void) {
  begin(waits);
  wait_for_threads(1);
  tell("before_free_chunk", "definite", 2 * kPairs, 2 * kPairs * 24);
  tell("behind", "reachable", 2 * kPairs, 2 * kPairs * 24);
  tell("before_top", "definite", 2, 2 * 24);
  fill(live_behind[0]);
  escape(live_behind);
  last_words();
  return 0;
}
