// SPDX-License-Identifier: Apache-2.0
//
// Many short threads, each with the smallest stack there is (PTHREAD_STACK_MIN, 16 KiB, of which glibc takes some for
// its own), each of which allocates, moves, frees and keeps. Arguments: how many threads, and how many of them are
// alive at once. If FIGURES names a file, a line with the process's memory goes there: what the program measures of
// itself.
//
// Expected: no thread runs over its stack's end, each is recorded, and what it costs does not grow with their number.
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>

#include "figures.h"
#include "truth.h"

enum { kKeepBytes = 120, kMoveBytes = 3000 };
static pthread_barrier_t all_there;
static sem_t failed;

__attribute__((noinline)) static void* keep_in_thread(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* make_in_thread(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* move_in_thread(void* block, size_t bytes) {
  return escape(realloc(block, bytes));
}

static void* run(void* argument) {
  (void)argument;
  char* block = make_in_thread(50);
  block = move_in_thread(block, kMoveBytes);
  if (block == NULL || keep_in_thread(kKeepBytes) == NULL) sem_post(&failed);
  pthread_barrier_wait(&all_there);
  free(block);
  return NULL;
}

static int run_batch(unsigned count, pthread_t* threads) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int error = pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
  pthread_barrier_init(&all_there, NULL, count + 1);
  for (unsigned i = 0; i < count && error == 0; ++i) error = pthread_create(&threads[i], &attributes, run, NULL);
  if (error != 0) {
    printf("no thread: %s\n", strerror(error));
    exit(3);
  }
  pthread_barrier_wait(&all_there);
  for (unsigned i = 0; i < count; ++i) pthread_join(threads[i], NULL);
  pthread_attr_destroy(&attributes);
  return 0;
}

int main(int argc, char** argv) {
  const unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 100;
  const unsigned at_once = argc > 2 ? (unsigned)atoi(argv[2]) : 10;
  static pthread_t handles[1 << 14];
  if (at_once > sizeof handles / sizeof *handles || threads % at_once != 0) return 2;
  sem_init(&failed, 0, 0);
  for (unsigned done = 0; done < threads; done += at_once) run_batch(at_once, handles);
  truth_site("make_in_thread", threads, 50ul * threads, 0, 0);
  truth_site("move_in_thread", threads, 1ul * kMoveBytes * threads, 0, 0);
  truth_site("keep_in_thread", threads, 1ul * kKeepBytes * threads, threads, 1ul * kKeepBytes * threads);
  figures_memory();
  int failures = 0;
  sem_getvalue(&failed, &failures);
  printf("failures %d\n", failures);
  return failures;
}
