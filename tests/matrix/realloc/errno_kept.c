// SPDX-License-Identifier: Apache-2.0
//
// errno holds a mark; then each function of the family is called again and again, on blocks of all sizes, in several
// threads, so that every slow path is met: the first record, new traces, growing tables, snapshots.
//
// Expected: no call that succeeds touches errno, and each that fails says ENOMEM or EINVAL.
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "truth.h"

enum { kThreads = 4, kRounds = 4000, kMark = 4711, kDepth = 40 };
static atomic_long touched, failures, told;
static volatile size_t too_much = PTRDIFF_MAX;

static void look(void) {
  if (errno != kMark) atomic_fetch_add(&touched, 1);
  errno = kMark;
}

static void look_for(int error) {
  if (errno == error) atomic_fetch_add(&told, 1);
  atomic_fetch_add(&failures, 1);
  errno = kMark;
}

__attribute__((noinline)) static void* kept_in_thread(size_t bytes) { return escape(malloc(bytes)); }

static void call_each(size_t bytes) {
  void* block = escape(malloc(bytes));
  look();
  block = escape(realloc(block, 2 * bytes + 1));
  look();
  free(block);
  look();
  block = escape(calloc(3, bytes));
  look();
  block = escape(reallocarray(block, 5, bytes + 1));
  look();
  free(block);
  look();
  block = escape(memalign(64, bytes));
  look();
  free(block);
  look();
  block = escape(aligned_alloc(32, bytes));
  look();
  (void)malloc_usable_size(block);
  look();
  free(block);
  look();
  if (posix_memalign(&block, 128, bytes) == 0) free(block);
  look();
  free(escape(NULL));
  look();
}

// A new trace at each depth.
__attribute__((noinline)) static void deeper(int depth, size_t bytes) {
  if (depth > 0) deeper(depth - 1, bytes);
  else call_each(bytes);
  __asm__ volatile("" : : : "memory");
}

static void fail(void) {
  void* block = escape(malloc(10));
  look();
  if (escape(malloc(too_much)) == NULL) look_for(ENOMEM);
  if (escape(calloc(too_much, 2)) == NULL) look_for(ENOMEM);
  if (escape(realloc(block, too_much)) == NULL) look_for(ENOMEM);
  if (escape(reallocarray(block, too_much, 2)) == NULL) look_for(ENOMEM);
  if (escape(memalign(64, too_much)) == NULL) look_for(ENOMEM);
  if (escape(memalign(SIZE_MAX, 64)) == NULL) look_for(EINVAL);
  free(block);
  look();
}

static void* run(void* argument) {
  (void)argument;
  errno = kMark;
  for (int i = 0; i < kRounds; ++i) {
    deeper(i % kDepth, (size_t)(i * 37 % 5000));
    if (i % 100 == 0) fail();
    kept_in_thread(100);
    look();
    if (i % 500 == 0) call_each(300000);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, run, NULL) != 0) return 2;
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  printf("touched %ld, failures %ld, told %ld\n", atomic_load(&touched), atomic_load(&failures), atomic_load(&told));
  const unsigned long kept = 1ul * kThreads * kRounds;
  truth_site("kept_in_thread", kept, 100 * kept, kept, 100 * kept);
  return 0;
}
