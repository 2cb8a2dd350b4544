// SPDX-License-Identifier: Apache-2.0
//
// Threads that allocate are cancelled: while they wait (deferred; what they hold is freed by cleanup handlers, which
// allocate, too); with the request pending while they allocate, which is no cancellation point; and at any instruction
// (asynchronous) of a computation between two allocations.
//
// Expected: each is cancelled, and not before it may be; what the cleanup handlers free is free; the counts are true.
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "truth.h"

enum { kThreads = 200, kBlocksEach = 10, kPendingBlocks = 500 };

__attribute__((noinline)) static void* make_cancelled(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* make_in_cleanup(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* make_pending(size_t bytes) { return escape(malloc(bytes)); }

static sem_t ready, never;
static atomic_int pending_done, cleanups;

static void clean_up(void* argument) {
  void** blocks = argument;
  for (int i = 0; i < kBlocksEach; ++i) free(blocks[i]);
  free(make_in_cleanup(64));
  atomic_fetch_add(&cleanups, 1);
}

static void make_blocks(void** blocks) {
  for (int i = 0; i < kBlocksEach; ++i) blocks[i] = make_cancelled(1000);
}

static void* wait_for_ever(void* argument) {
  (void)argument;
  void* blocks[kBlocksEach];
  make_blocks(blocks);
  pthread_cleanup_push(clean_up, blocks);
  sem_post(&ready);
  while (sem_wait(&never) == 0) continue;
  pthread_cleanup_pop(0);
  return NULL;
}

// The request comes when it is ready; it allocates 500 times all the same, then looks.
static void* allocate_with_request_pending(void* argument) {
  (void)argument;
  void* blocks[kBlocksEach];
  make_blocks(blocks);
  pthread_cleanup_push(clean_up, blocks);
  pthread_cancel(pthread_self());
  for (int i = 0; i < kPendingBlocks; ++i) free(make_pending(200));
  atomic_fetch_add(&pending_done, 1);
  sem_post(&ready);
  for (;;) pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}

static void* compute_for_ever(void* argument) {
  (void)argument;
  void* blocks[kBlocksEach];
  make_blocks(blocks);
  pthread_cleanup_push(clean_up, blocks);
  sem_post(&ready);
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (volatile unsigned long sum = 0;; ++sum) continue;
  pthread_cleanup_pop(0);
  return NULL;
}

int main(void) {
  void* (*const kinds[])(void*) = {wait_for_ever, allocate_with_request_pending, compute_for_ever};
  const char* const names[] = {"waiting", "pending", "computing"};
  sem_init(&ready, 0, 0);
  sem_init(&never, 0, 0);
  for (int kind = 0; kind < 3; ++kind) {
    int cancelled = 0;
    for (int i = 0; i < kThreads; ++i) {
      pthread_t thread;
      void* result = NULL;
      if (pthread_create(&thread, NULL, kinds[kind], NULL) != 0) return 2;
      while (sem_wait(&ready) != 0) continue;
      pthread_cancel(thread);
      pthread_join(thread, &result);
      cancelled += result == PTHREAD_CANCELED;
    }
    printf("%s: %d cancelled\n", names[kind], cancelled);
  }
  printf("cleanups %d, pending done %d\n", atomic_load(&cleanups), atomic_load(&pending_done));
  const unsigned long threads = 3 * kThreads;
  truth_site("make_cancelled", threads * kBlocksEach, 1000 * threads * kBlocksEach, 0, 0);
  truth_site("make_in_cleanup", threads, 64 * threads, 0, 0);
  truth_site("make_pending", 1ul * kThreads * kPendingBlocks, 200ul * kThreads * kPendingBlocks, 0, 0);
  return 0;
}
