// SPDX-License-Identifier: Apache-2.0
//
// Five hundred children of one parent each do the same: five blocks in the thread that came with the fork, five in
// another one.
//
// Expected: sampled, the sum over all of them is as near the truth as its interval says; so the children do not all
// take the same samples.
#include <pthread.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kChildren = 500, kBlocks = 5, kBytes = 200 };

void* volatile kept[2][kBlocks];

__attribute__((noinline)) static void* allocate_in_forked_thread(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* allocate_in_new_thread(void) { return escape(malloc(kBytes)); }

static void* run(void* unused) {
  for (int i = 0; i < kBlocks; ++i) kept[1][i] = allocate_in_new_thread();
  return unused;
}

static void be_child(void) {
  pthread_t thread;
  for (int i = 0; i < kBlocks; ++i) kept[0][i] = allocate_in_forked_thread();
  if (pthread_create(&thread, NULL, run, NULL) != 0) _exit(1);
  pthread_join(thread, NULL);
  _exit(0);
}

int main(void) {
  int failed = 0;
  for (int i = 0; i < kChildren; ++i) {
    const pid_t child = fork();
    if (child < 0) return 2;
    if (child == 0) be_child();
    int status = 1;
    failed += waitpid(child, &status, 0) != child || status != 0;
  }
  const unsigned long blocks = kChildren * kBlocks;
  truth_site("allocate_in_forked_thread", blocks, blocks * kBytes, blocks, blocks * kBytes);
  truth_site("allocate_in_new_thread", blocks, blocks * kBytes, blocks, blocks * kBytes);
  return failed != 0;
}
