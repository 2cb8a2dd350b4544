// SPDX-License-Identifier: Apache-2.0
//
// swapcontext fibers on stacks from malloc, from mmap, and from one mapping without guard pages in between; each
// allocates before and after each of its switches. Then fibers that begin in one thread and go on in another, and
// stacks that are unmapped and mapped again smaller at the same place, with nothing readable behind them.
//
// Expected: everything is counted in the function that allocated, with its trace down to where its fiber begins.
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "truth.h"

enum { kFibers = 12, kStackBytes = 64 << 10, kRounds = 20, kBytes = 1200 };

static ucontext_t scheduler[2];
static __thread int in_thread;
static ucontext_t fibers[kFibers];

__attribute__((noinline)) static void allocates_on_fiber(int leak) {
  void* block = escape(malloc(kBytes));
  if (!leak) free(block);
}

// Not inlined, so that the thread-local is looked up again after a switch.
__attribute__((noinline)) static ucontext_t* current_scheduler(void) { return &scheduler[in_thread]; }

static void body(int number) {
  for (int round = 0; round < kRounds; ++round) {
    allocates_on_fiber(round == 0);
    swapcontext(&fibers[number], current_scheduler());
    allocates_on_fiber(0);
  }
  setcontext(current_scheduler());
}

static void* map(size_t bytes, void* where) {
  void* memory =
      mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (where == NULL ? 0 : MAP_FIXED), -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

static void begin(int number, void* stack, size_t bytes) {
  if (stack == NULL || getcontext(&fibers[number]) != 0) abort();
  fibers[number].uc_stack.ss_sp = stack;
  fibers[number].uc_stack.ss_size = bytes;
  fibers[number].uc_link = NULL;
  makecontext(&fibers[number], (void (*)(void))body, 1, number);
}

// So many turns for each fiber, one after the other.
static void run(int turns) {
  for (int turn = 0; turn < turns; ++turn) {
    for (int i = 0; i < kFibers; ++i) swapcontext(&scheduler[in_thread], &fibers[i]);
  }
}

static void* run_in_other_thread(void* turns) {
  in_thread = 1;
  run(*(int*)turns);
  return NULL;
}

static void in_other_thread(int turns) {
  pthread_t thread;
  pthread_create(&thread, NULL, run_in_other_thread, &turns);
  pthread_join(thread, NULL);
}

int main(void) {
  // A third on stacks from malloc, a third on mappings of their own, a third side by side in one mapping.
  char* side_by_side = map(kFibers * kStackBytes, NULL);
  void* stacks[kFibers];
  for (int i = 0; i < kFibers; ++i) {
    stacks[i] = i % 3 == 0   ? malloc(kStackBytes)
                : i % 3 == 1 ? map(kStackBytes, NULL)
                             : (void*)(side_by_side + i * kStackBytes);
    begin(i, stacks[i], kStackBytes);
  }
  // Each fiber ends at its turn kRounds + 1; in between they move to the other thread and back.
  run(3);
  in_other_thread(4);
  run(kRounds - 7);
  in_other_thread(1);
  for (int i = 0; i < kFibers; i += 3) free(stacks[i]);

  // The same addresses again: a large stack, then a small one where it was, below memory that cannot be read.
  char* large = map(4 * kStackBytes, NULL);
  for (int i = 0; i < kFibers; ++i) {
    const int is_small = i % 2;
    if (map(4 * kStackBytes, large) == NULL) abort();
    if (is_small) mprotect(large + kStackBytes, 3 * kStackBytes, PROT_NONE);
    begin(i, large, is_small ? kStackBytes : 4 * kStackBytes);
    for (int turn = 0; turn <= kRounds; ++turn) swapcontext(&scheduler[0], &fibers[i]);
  }
  const unsigned long blocks = 2 * kFibers * 2 * kRounds;
  truth_site("allocates_on_fiber", blocks, blocks * kBytes, 2 * kFibers, 2 * kFibers * kBytes);
  return 0;
}
