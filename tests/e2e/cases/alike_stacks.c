// SPDX-License-Identifier: Apache-2.0
//
// Goes through functions way_a and way_b in all orders of six calls, each of the same frame, so that stacks are alike
// but for one return address or several, with the same stack pointer at the end; at random, from three threads whose
// stacks come after each other in the same place. Prints how often it allocated by each way, innermost first.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kCalls = 6, kWays = 1 << kCalls, kTimes = 20000, kThreads = 3 };

static unsigned counts[kWays];

static void go(unsigned way, unsigned left);

__attribute__((noinline)) static void allocate(void) {
  void* block = malloc(40);
  __asm__ volatile("" : : "r"(block) : "memory");
  free(block);
}

__attribute__((noinline)) static void way_a(unsigned way, unsigned left) {
  go(way, left);
  __asm__ volatile("" : : : "memory");
}

__attribute__((noinline)) static void way_b(unsigned way, unsigned left) {
  go(way, left);
  __asm__ volatile("nop" : : : "memory");  // Or the compiler makes one function of both.
}

__attribute__((noinline)) static void go(unsigned way, unsigned left) {
  if (left == 0) allocate();
  else if ((way & 1) == 0) way_a(way >> 1, left - 1);
  else way_b(way >> 1, left - 1);
  __asm__ volatile("" : : : "memory");
}

static void* run(void* argument) {
  uint64_t random = (uintptr_t)argument * 7 + 1;
  for (int i = 0; i < kTimes; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const unsigned way = (unsigned)(random >> 40) % kWays;
    ++counts[way];
    go(way, kCalls);
  }
  return NULL;
}

int main(void) {
  for (uintptr_t i = 0; i < kThreads; ++i) {
    pthread_t thread;
    pthread_create(&thread, NULL, run, (void*)i);
    pthread_join(thread, NULL);
  }
  for (unsigned way = 0; way < kWays; ++way) {
    for (unsigned call = kCalls; call-- > 0;) putchar((way >> call & 1) == 0 ? 'a' : 'b');
    printf(" %u\n", counts[way]);
  }
  return 0;
}
