// SPDX-License-Identifier: Apache-2.0
//
// Eight threads fork five children each, while all of them allocate, and with three fork handlers that allocate and
// free themselves: before, in the parent, in the child. Each child allocates in another thread of its own, too.
//
// Expected: what each process did is in its own recording, the handlers' allocations included.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kThreads = 8, kForks = 5, kRounds = 200, kBytes = 90, kHandlerBytes = 70, kChildBytes = 500 };

static atomic_ulong before_blocks, parent_blocks;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
void* volatile kept[kThreads][kForks];
static _Thread_local void* volatile from_before;

__attribute__((noinline)) static void* allocate_before(void) { return escape(malloc(kHandlerBytes)); }
__attribute__((noinline)) static void* allocate_in_parent(void) { return escape(malloc(kHandlerBytes)); }
__attribute__((noinline)) static void* allocate_in_child(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* allocate_in_thread(void) { return escape(malloc(kBytes)); }

static void before(void) {
  pthread_mutex_lock(&counting);
  from_before = allocate_before();
  atomic_fetch_add(&before_blocks, 1);
}
static void in_parent(void) {
  free(from_before);
  free(allocate_in_parent());
  atomic_fetch_add(&parent_blocks, 1);
  pthread_mutex_unlock(&counting);
}
static void in_child(void) {
  free(from_before);
  free(allocate_in_child(kHandlerBytes));
  pthread_mutex_unlock(&counting);
}

static void* in_thread_of_child(void* unused) {
  (void)unused;
  return allocate_in_child(kChildBytes);
}

static void be_child(void) {
  void* volatile first = allocate_in_child(kChildBytes);
  pthread_t thread;
  void* second = NULL;
  if (pthread_create(&thread, NULL, in_thread_of_child, NULL) != 0) _exit(1);
  pthread_join(thread, &second);
  if (first == NULL || second == NULL) _exit(1);
  free(second);
  process_truth(getpid(), "allocate_in_child", 3, kHandlerBytes + 2 * kChildBytes, 1, kChildBytes);
  _exit(0);
}

static void* run(void* slots) {
  void* volatile* slot = slots;
  for (int i = 0; i < kForks; ++i) {
    for (int round = 0; round < kRounds; ++round) free(allocate_in_thread());
    slot[i] = allocate_in_thread();
    const pid_t child = fork();
    if (child == 0) be_child();
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return (void*)1;
  }
  return NULL;
}

int main(void) {
  pthread_atfork(before, in_parent, in_child);
  pthread_t thread[kThreads];
  int failed = 0;
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, (void*)kept[i]) != 0) return 2;
  }
  for (int i = 0; i < kThreads; ++i) {
    void* result = NULL;
    pthread_join(thread[i], &result);
    failed += result != NULL;
  }
  printf("%d failed\n", failed);
  const unsigned long made = kThreads * kForks * (kRounds + 1), live = kThreads * kForks;
  const pid_t self = getpid();
  process_truth(self, "allocate_in_thread", made, made * kBytes, live, live * kBytes);
  process_truth(self, "allocate_before", before_blocks, before_blocks * kHandlerBytes, 0, 0);
  process_truth(self, "allocate_in_parent", parent_blocks, parent_blocks * kHandlerBytes, 0, 0);
  return failed;
}
