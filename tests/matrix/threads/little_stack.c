// SPDX-License-Identifier: Apache-2.0
//
// A thread on a stack of 16 KiB that the program made, with 64 KiB before it that may not be touched, goes down until
// so little is left as the first argument says, in bytes, and there allocates for the first time, and then as many
// blocks as the second argument says: more than any first table of an observer holds.
//
// Expected: glibc's malloc gets by there, and so nothing may fault.
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "truth.h"

enum { kThreads = 10, kGuardBytes = 64 << 10, kStackBytes = 16 << 10 };
static size_t left_bytes;
static unsigned long blocks_each;

__attribute__((noinline)) static void* make_far_down(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* make_many(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* move_far_down(void* block, size_t bytes) {
  return escape(realloc(block, bytes));
}

struct Stack {
  uintptr_t low;
};

__attribute__((noinline)) static void go_down(const struct Stack* stack) {
  volatile char frame[64];
  frame[0] = 0;
  if ((uintptr_t)frame - stack->low > left_bytes) {
    go_down(stack);
    frame[1] = 1;  // No tail call.
    return;
  }
  void* kept = make_far_down(2000);
  free(make_far_down(3000));
  move_far_down(kept, 1900);
  for (unsigned long i = 0; i < blocks_each; ++i) make_many(24);
}

static void* run(void* argument) {
  go_down(argument);
  return NULL;
}

int main(int argc, char** argv) {
  left_bytes = argc > 1 ? (size_t)atol(argv[1]) : 4096;
  blocks_each = argc > 2 ? (unsigned long)atol(argv[2]) : 0;
  for (int i = 0; i < kThreads; ++i) {
    char* memory = mmap(NULL, kGuardBytes + kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + kGuardBytes, kStackBytes, PROT_READ | PROT_WRITE) != 0) return 2;
    struct Stack stack = {(uintptr_t)memory + kGuardBytes};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_t thread;
    if (pthread_attr_setstack(&attributes, memory + kGuardBytes, kStackBytes) != 0 ||
        pthread_create(&thread, &attributes, run, &stack) != 0) {
      return 3;
    }
    pthread_join(thread, NULL);
  }
  truth_site("make_far_down", 2 * kThreads, 5000 * kThreads, 0, 0);
  truth_site("move_far_down", kThreads, 1900 * kThreads, kThreads, 1900 * kThreads);
  const unsigned long many = kThreads * blocks_each;
  truth_site("make_many", many, 24 * many, many, 24 * many);
  printf("done\n");
  return 0;
}
