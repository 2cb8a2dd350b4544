// SPDX-License-Identifier: Apache-2.0
//
// Two threads allocate, reallocate and free without a pause, over an allocator that may be left at any instruction,
// while each has a timer whose handler allocates and then siglongjmps out of whatever it interrupted: argument 1 times
// each, at some 10 kHz. Then each thread allocates and frees a fixed number of blocks, and the main thread, too.
//
// Expected: no hang; what the handlers do and what comes after the storm is counted exactly; of what happens in the
// storm one event a jump at most is not (storm.h).
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "storm.h"

enum { kThreads = 2, kSlots = 64, kAfter = 1000, kAfterKept = 600, kHandlerKeepsOneIn = 4 };
enum { kStormBytes = 100, kGrownBytes = 300, kHandlerBytes = 48, kAfterBytes = 200 };

typedef struct {
  sigjmp_buf back;
  timer_t timer;
  volatile unsigned long jumps, round;
  Calls allocations, reallocations, frees, grown_frees;
  void* volatile slot[kSlots];
  void* volatile grown[kSlots];
} Storm;

static unsigned long jumps_each;
static Storm storms[kThreads];
static __thread Storm* own;
void* volatile kept[kThreads + 1][kAfterKept];

__attribute__((noinline)) static void* allocate_in_storm(void) { return escape(malloc(kStormBytes)); }
__attribute__((noinline)) static void* reallocate_in_storm(void* block) { return escape(realloc(block, kGrownBytes)); }
__attribute__((noinline)) static void* allocate_in_handler(void) { return escape(malloc(kHandlerBytes)); }
__attribute__((noinline)) static void* allocate_after(void) { return escape(malloc(kAfterBytes)); }

static void set_timer(Storm* storm) {
  const struct itimerspec when = {{0, 0}, {0, 20000 + (long)(storm->jumps * 7919 % 100) * 1000}};
  if (timer_settime(storm->timer, 0, &when, NULL) != 0) abort();
}

static void on_timer(int number) {
  (void)number;
  Storm* storm = own;
  void* block = allocate_in_handler();
  if (storm->jumps % kHandlerKeepsOneIn != 0) free(block);
  ++storm->jumps;
  siglongjmp(storm->back, 1);
}

// What a jump leaves behind is either begun and not counted as done, or lost to the program and so live for ever.
static void one_round(Storm* storm) {
  const unsigned index = storm->round++ % kSlots;
  void* old = storm->grown[index];
  storm->grown[index] = NULL;
  if (old != NULL) {
    ++storm->grown_frees.begun;
    free(old);
    ++storm->grown_frees.done;
  }
  old = storm->slot[index];
  storm->slot[index] = NULL;
  if (old != NULL && index % 2 == 0) {
    ++storm->frees.begun;
    free(old);
    ++storm->frees.done;
  } else if (old != NULL) {
    ++storm->reallocations.begun;
    void* block = reallocate_in_storm(old);
    ++storm->reallocations.done;
    storm->grown[index] = block;
  }
  ++storm->allocations.begun;
  void* block = allocate_in_storm();
  ++storm->allocations.done;
  storm->slot[index] = block;
}

static void* run(void* argument) {
  Storm* storm = argument;
  own = storm;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN;
  event._sigev_un._tid = (int)syscall(SYS_gettid);
  if (timer_create(CLOCK_MONOTONIC, &event, &storm->timer) != 0) abort();
  (void)sigsetjmp(storm->back, 1);
  if (storm->jumps < jumps_each) {
    set_timer(storm);
    for (;;) one_round(storm);
  }
  timer_delete(storm->timer);
  void* volatile* keep = kept[storm - storms];
  for (int i = 0; i < kAfter; ++i) {
    void* block = allocate_after();
    if (i < kAfterKept) keep[i] = block;
    else free(block);
  }
  return NULL;
}

static void add(Calls* sum, Calls more) {
  sum->begun += more.begun;
  sum->done += more.done;
}

static void tell(void) {
  Storm sum;
  memset(&sum, 0, sizeof sum);
  for (int i = 0; i < kThreads; ++i) {
    sum.jumps += storms[i].jumps;
    add(&sum.allocations, storms[i].allocations);
    add(&sum.reallocations, storms[i].reallocations);
    add(&sum.frees, storms[i].frees);
    add(&sum.grown_frees, storms[i].grown_frees);
  }
  add(&sum.frees, sum.reallocations);
  storm_site("allocate_in_storm", sum.allocations, sum.frees, kStormBytes, sum.jumps);
  storm_site("reallocate_in_storm", sum.reallocations, sum.grown_frees, kGrownBytes, sum.jumps);
  const unsigned long kept_in_handler = kThreads * ((jumps_each + kHandlerKeepsOneIn - 1) / kHandlerKeepsOneIn);
  truth_site("allocate_in_handler", sum.jumps, sum.jumps * kHandlerBytes, kept_in_handler,
             kept_in_handler * kHandlerBytes);
  const unsigned long all = kThreads * kAfter + kAfterKept, live = (kThreads + 1) * kAfterKept;
  truth_site("allocate_after", all, all * kAfterBytes, live, live * kAfterBytes);
  printf("%lu jumps, %s\n", sum.jumps,
         sum.reallocations.done > sum.jumps / 10 ? "much in between" : "hardly anything in between");
}

int main(int argc, char** argv) {
  jumps_each = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_timer;
  sigaction(SIGRTMIN, &action, NULL);
  pthread_t thread[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, &storms[i]) != 0) return 1;
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
  for (int i = 0; i < kAfterKept; ++i) kept[kThreads][i] = allocate_after();
  tell();
  return 0;
}
