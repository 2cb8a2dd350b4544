// SPDX-License-Identifier: Apache-2.0
//
// Handlers of three timers allocate and free at 1 kHz and more, over an allocator that may be interrupted anywhere,
// while four threads do the same: a profiler's (ITIMER_PROF, SIGPROF), an alarm's (ITIMER_REAL), and one of
// timer_create for each thread. All signals interrupt each other.
//
// Expected: every allocation is counted exactly, in the handlers and in what they interrupt.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "truth.h"

enum { kThreads = 4, kSlots = 32, kHandlersEach = 250, kKeepOneIn = 8, kThreadBytes = 140, kHandlerBytes = 60 };

static atomic_ulong profiled, alarmed, timed, handler_kept, thread_blocks;
void* volatile kept_by_handlers[kThreads * kHandlersEach * 16];
void* volatile kept_by_threads[kThreads][kSlots];

__attribute__((noinline)) static void* allocate_in_handler(void) { return escape(malloc(kHandlerBytes)); }
__attribute__((noinline)) static void* allocate_in_thread(void) { return escape(malloc(kThreadBytes)); }

static void on_timer(int number) {
  const unsigned long count = atomic_fetch_add(number == SIGPROF   ? &profiled
                                               : number == SIGALRM ? &alarmed
                                                                   : &timed,
                                               1);
  void* block = allocate_in_handler();
  if (count % kKeepOneIn != 0) {
    free(block);
    return;
  }
  const unsigned long slot = atomic_fetch_add(&handler_kept, 1);
  kept_by_handlers[slot % (sizeof kept_by_handlers / sizeof kept_by_handlers[0])] = block;
}

static int enough(void) {
  return atomic_load(&timed) >= kThreads * kHandlersEach && atomic_load(&alarmed) >= kHandlersEach &&
         atomic_load(&profiled) >= kHandlersEach;
}

static void* run(void* slots) {
  void* volatile* slot = slots;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGRTMIN + 1;
  event._sigev_un._tid = (int)syscall(SYS_gettid);
  const struct itimerspec each = {{0, 700000}, {0, 700000}};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &each, NULL) != 0) abort();
  unsigned long blocks = 0;
  for (; !enough(); ++blocks) {
    free(slot[blocks % kSlots]);
    slot[blocks % kSlots] = allocate_in_thread();
  }
  timer_delete(timer);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  atomic_fetch_add(&thread_blocks, blocks);
  return (void*)(blocks < kSlots ? blocks : kSlots);
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_timer;
  action.sa_flags = SA_RESTART;
  if (sigaction(SIGPROF, &action, NULL) != 0 || sigaction(SIGALRM, &action, NULL) != 0 ||
      sigaction(SIGRTMIN + 1, &action, NULL) != 0) {
    return 1;
  }
  const struct itimerval millisecond = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &millisecond, NULL);
  setitimer(ITIMER_PROF, &millisecond, NULL);
  pthread_t thread[kThreads];
  unsigned long live = 0;
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, (void*)kept_by_threads[i]) != 0) return 1;
  }
  for (int i = 0; i < kThreads; ++i) {
    void* held = NULL;
    pthread_join(thread[i], &held);
    live += (unsigned long)held;
  }
  setitimer(ITIMER_REAL, &never, NULL);
  setitimer(ITIMER_PROF, &never, NULL);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  const unsigned long handlers = profiled + alarmed + timed;
  truth_site("allocate_in_handler", handlers, handlers * kHandlerBytes, handler_kept, handler_kept * kHandlerBytes);
  truth_site("allocate_in_thread", thread_blocks, thread_blocks * kThreadBytes, live, live * kThreadBytes);
  return 0;
}
