// SPDX-License-Identifier: Apache-2.0
//
// A handler allocates, reallocates and frees on an alternate stack of the least size that the kernel lets a handler
// have, and argument 1 bytes more: its own frames and those of what it calls. Below the stack lie canaries, below these
// a page that may not be touched. The first signal comes in a fresh process, of whose stacks, code and threads nothing
// is known yet; then signals come at a hundred depths of recursion, so that there is much that is new.
//
// Expected: no canary is changed, and the counts are exact.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "truth.h"

enum {
  kPageBytes = 4096,
  kCanaryBytes = 64 << 10,
  kDepths = 100,
  kRounds = 4,
  kTimes = kDepths * kRounds,
  kKept = 50,
  kBytes = 500,
  kGrownBytes = 900
};

static volatile int handled;
void* volatile kept[kKept];

__attribute__((noinline)) static void* allocate_on_small_stack(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* grow_on_small_stack(void* block) { return escape(realloc(block, kGrownBytes)); }

static void on_signal(int number) {
  (void)number;
  void* block = grow_on_small_stack(allocate_on_small_stack());
  if (handled < kKept) kept[handled] = block;
  else free(block);
  ++handled;
}

// Returns what it was given, so that no frame is left out.
__attribute__((noinline)) static int raise_at_depth(int depth) {
  if (depth == 0) return raise(SIGUSR1);
  const int result = raise_at_depth(depth - 1);
  __asm__ volatile("" ::: "memory");
  return result;
}

static size_t untouched_below(const unsigned char* low, const unsigned char* high) {
  const unsigned char* at = low;
  while (at < high && *at == 0xA5) ++at;
  return (size_t)(at - low);
}

static void* wait_for_the_end(void* unused) {
  for (;;) pause();
  return unused;
}

int main(int argc, char** argv) {
  const size_t own_bytes = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  const size_t stack_bytes = ((size_t)sysconf(_SC_MINSIGSTKSZ) + own_bytes + 15) & ~(size_t)15;
  const size_t bytes = kPageBytes + kCanaryBytes + stack_bytes;
  unsigned char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kPageBytes, PROT_NONE) != 0) return 2;
  unsigned char* canaries = memory + kPageBytes;
  unsigned char* stack = canaries + kCanaryBytes;
  memset(canaries, 0xA5, kCanaryBytes + stack_bytes);

  const stack_t alternate = {.ss_sp = stack, .ss_size = stack_bytes, .ss_flags = 0};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  pthread_t thread;
  if (argc > 2 && pthread_create(&thread, NULL, wait_for_the_end, NULL) != 0) return 2;
  if (sigaltstack(&alternate, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0) return 2;
  for (int i = 0; i < kTimes; ++i) raise_at_depth(i % kDepths);

  const int overflow = untouched_below(canaries, stack) != kCanaryBytes;
  printf("%d handled, the canaries are %s\n", handled, overflow ? "gone" : "there");
  if (getenv("STACK_USE") != NULL) {  // For whoever wants to know how near it is.
    fprintf(stderr, "%zu bytes of %zu, and %zu of canaries, were never touched\n",
            untouched_below(stack, stack + stack_bytes), stack_bytes, untouched_below(canaries, stack));
  }
  truth_site("allocate_on_small_stack", kTimes, (unsigned long)kTimes * kBytes, 0, 0);
  truth_site("grow_on_small_stack", kTimes, (unsigned long)kTimes * kGrownBytes, kKept,
             (unsigned long)kKept * kGrownBytes);
  return 0;
}
