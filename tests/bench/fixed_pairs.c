// SPDX-License-Identifier: Apache-2.0
//
// A fixed number of malloc/free pairs, as those of pairs.cpp, at a stack of so many frames, counted from malloc's
// caller to _start: what is counted by instructions.
//   fixed_pairs PAIRS FRAMES
#include <stdint.h>
#include <stdlib.h>
#include <unwind.h>

enum { kRingBlocks = 1024 };

static _Unwind_Reason_Code count_frame(struct _Unwind_Context* frame, void* count) {
  if (_Unwind_GetIP(frame) != 0) ++*(unsigned*)count;
  return _URC_NO_REASON;
}

// Of the caller.
__attribute__((noinline)) static unsigned stack_depth(void) {
  unsigned frames = 0;
  _Unwind_Backtrace(count_frame, &frames);
  return frames - 1;
}

__attribute__((noinline)) static void make_pairs(uint64_t pairs, unsigned frames) {
  if (stack_depth() != frames) abort();
  static void* volatile ring[kRingBlocks];
  uint64_t random = 1;
  for (uint64_t i = 0; i < pairs; ++i) {
    free(ring[i % kRingBlocks]);
    random = random * 6364136223846793005u + 1442695040888963407u;
    ring[i % kRingBlocks] = malloc(16 + (random >> 33) % 241);
  }
}

// Calls itself until what it calls next is that deep.
__attribute__((noinline)) static void go_down(uint64_t pairs, unsigned frames) {
  if (stack_depth() + 1 < frames) {
    go_down(pairs, frames);
  } else {
    make_pairs(pairs, frames);
  }
  __asm__ volatile("" ::: "memory");  // Behind the call, so that it is not a tail call.
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  go_down(strtoull(argv[1], NULL, 10), (unsigned)strtoul(argv[2], NULL, 10));
  return 0;
}
