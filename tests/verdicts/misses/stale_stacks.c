// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands where a deep call left it: below the stack pointer of main, and of a thread that
// waits.
//
// Expected: all definite.
#include "threads.h"

enum { kBlocks = 100 };

SITE static void* below_main(void) { return blank(24); }
SITE static void* below_waiting(void) { return blank(40); }

// Half way down each frame gets a block.
__attribute__((noinline)) static void leave_behind(void* (*make)(void), int frames) {
  void* volatile places[128];
  for (int i = 0; i < 128; ++i) places[i] = NULL;
  if (frames <= kBlocks) places[64] = make();
  if (frames > 1) leave_behind(make, frames - 1);
  escape((void*)places[64]);
}

static void* waits(void* unused) {
  leave_behind(below_waiting, 2 * kBlocks);
  forget();
  stay();
  return unused;
}

int main(void) {
  leave_behind(below_main, 2 * kBlocks);
  begin(waits);
  wait_for_threads(1);
  tell("below_main", "definite", kBlocks, kBlocks * 24);
  tell("below_waiting", "definite", kBlocks, kBlocks * 40);
  last_words();
  return 0;
}
