// SPDX-License-Identifier: Apache-2.0
//
// Holds 100 blocks, has eight threads allocate and free as fast as they can, and ends, as the argument says: "return"
// from main, "exit", "_exit", "quick_exit" and "abort" from main or ("_in_worker") from a thread, "kill" by SIGKILL,
// "segv", "_exit_in_handler" of exit, "pthread_exit" of main, after which the threads end by themselves.
//
// Expected: it ends as it does without seep. What is held is live; each thread holds one block, or none, of what it
// makes. `hold_late`, called by what runs at the end, is in the recording where the program lived to tell of it.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "truth.h"

enum { kThreads = 8, kHeld = 100, kRoundsBefore = 200 };
static void* held[kHeld];
static atomic_int warmed_up;
static atomic_int stop;
static const char* how;

__attribute__((noinline)) static void* hold(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* churn(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* hold_late(size_t bytes) { return escape(malloc(bytes)); }

static void free_half(void) {
  for (int i = 0; i < kHeld / 2; ++i) free(held[i]);
  hold_late(333);
}

static void leave_at_once(void) { _exit(17); }

static int is(const char* way) { return strncmp(how, way, strlen(way)) == 0; }

// Ends the process; longer names first.
static void end(void) {
  if (is("_exit_in_handler")) exit(11);
  if (is("exit")) exit(12);
  if (is("_exit")) _exit(13);
  if (is("_Exit")) _Exit(14);
  if (is("quick_exit")) quick_exit(15);
  if (is("abort")) abort();
  if (is("kill")) raise(SIGKILL);
  if (is("segv")) *(volatile int*)escape(NULL) = 1;
}

static void* work(void* argument) {
  const long number = (long)argument;
  for (int i = 0; !atomic_load(&stop); ++i) {
    free(churn((size_t)(i % 1000 + 1)));
    if (i == kRoundsBefore) atomic_fetch_add(&warmed_up, 1);
    const int all_warm = i >= kRoundsBefore && atomic_load(&warmed_up) == kThreads;
    if (number == 3 && all_warm && strstr(how, "_in_worker") != NULL) end();
  }
  return NULL;
}

static void tell_truth(void) {
  const int handlers_run =
      is("return") || is("exit") || is("quick_exit") || is("_exit_in_handler") || is("pthread_exit");
  truth_site("hold", kHeld, 2000 * kHeld, handlers_run ? kHeld / 2 : kHeld, 2000 * (handlers_run ? kHeld / 2 : kHeld));
  truth_site("hold_late", handlers_run, handlers_run * 333ul, handlers_run, handlers_run * 333ul);
}

int main(int argc, char** argv) {
  how = argc > 1 ? argv[1] : "return";
  if (is("_exit_in_handler")) atexit(leave_at_once);  // Runs after the next.
  atexit(free_half);
  at_quick_exit(free_half);
  for (int i = 0; i < kHeld; ++i) held[i] = hold(2000);
  tell_truth();
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, work, (void*)i) != 0) return 2;
  }
  while (atomic_load(&warmed_up) < kThreads) usleep(100);
  if (is("pthread_exit")) {
    atomic_store(&stop, 1);
    pthread_exit(NULL);
  }
  if (strstr(how, "_in_worker") != NULL) pthread_join(threads[3], NULL);
  end();
  return 18;
}
