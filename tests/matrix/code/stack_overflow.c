// SPDX-License-Identifier: Apache-2.0
//
// Stack overflows that the program handles, on an alternate stack: `jumps`: 20 times the handler allocates and jumps
// back with siglongjmp, in the main thread and in others; `exits`: it prints and leaves by _exit. The recursion
// allocates in each frame until less than 32 KiB of the stack is left, and goes on from there without.
//
// Expected: the same output and status, and everything counted.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "truth.h"

enum { kTimes = 20, kThreads = 3, kStackBytes = 512 << 10, kReserveBytes = 32 << 10, kBytes = 2000 };

static __thread sigjmp_buf back;
static __thread uintptr_t lowest;
static __thread unsigned long recursion_blocks;
static int exits;

__attribute__((noinline)) static void allocates_in_handler(void) { free(escape(malloc(kBytes))); }

static void on_overflow(int signal) {
  (void)signal;
  if (exits) {
    (void)!write(1, "overflow\n", 9);
    _exit(3);
  }
  allocates_in_handler();
  siglongjmp(back, 1);
}

__attribute__((noinline)) static uintptr_t overflows(uintptr_t depth) {
  volatile char frame[1000];
  frame[0] = (char)depth;
  if ((uintptr_t)frame > lowest + kReserveBytes) {
    free(escape(malloc(kBytes)));
    ++recursion_blocks;
  }
  return overflows(depth + 1) + (uintptr_t)frame[0];
}

static void overflow_times(void) {
  stack_t stack = {.ss_size = 32 << 10};
  stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, NULL);
  for (volatile int i = 0; i < kTimes; ++i) {
    if (sigsetjmp(back, 1) == 0) overflows(0);
  }
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, NULL);
  munmap(stack.ss_sp, 32 << 10);
  truth_site("overflows", recursion_blocks, recursion_blocks * kBytes, 0, 0);
}

static void* body(void* stack) {
  lowest = (uintptr_t)stack;
  overflow_times();
  return NULL;
}

int main(int count, char** arguments) {
  exits = count > 1 && strcmp(arguments[1], "exits") == 0;
  struct sigaction action = {.sa_handler = on_overflow, .sa_flags = SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  // The main stack has a limit that the kernel counts from somewhere near its end.
  struct rlimit limit = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_STACK, &limit);
  lowest = (uintptr_t)&limit - (1 << 20) + (64 << 10);
  overflow_times();
  for (int i = 0; i < kThreads; ++i) {
    char* stack = mmap(NULL, 4096 + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(stack, 4096, PROT_NONE);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack + 4096, kStackBytes);
    pthread_create(&thread, &attributes, body, stack + 4096);
    pthread_join(thread, NULL);
  }
  truth_site("allocates_in_handler", (1 + kThreads) * kTimes, (1 + kThreads) * kTimes * kBytes, 0, 0);
  puts("ends well");
  return 0;
}
