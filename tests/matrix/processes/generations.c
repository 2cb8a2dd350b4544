// SPDX-License-Identifier: Apache-2.0
//
// Five generations: each allocates, forks the next, frees half of what it made itself and one block of each ancestor,
// and ends before its child does, which waits for that. The first process is their reaper and waits for all.
//
// Expected: each process's recording has its own blocks, and no ancestor's.
#include <sys/prctl.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kGenerations = 5, kBlocks = 20, kFreed = 10, kBytes = 100 };

void* volatile blocks[kGenerations][kBlocks];

__attribute__((noinline)) static void* allocate(size_t bytes) { return escape(malloc(bytes)); }

// Until its parent is gone: the other end of the pipe is closed then, and nobody else has it.
static void outlive(int read_end) {
  char byte;
  while (read(read_end, &byte, 1) > 0) {
  }
  close(read_end);
}

static void end_generation(int generation, size_t bytes) {
  for (int i = 0; i < kFreed; ++i) free(blocks[generation][i]);
  for (int ancestor = 0; ancestor < generation; ++ancestor) free(blocks[ancestor][kBlocks - generation]);
  process_truth(getpid(), "allocate", kBlocks, kBlocks * bytes, kBlocks - kFreed, (kBlocks - kFreed) * bytes);
  if (generation % 2 == 0) _exit(0);
  exit(0);
}

static void live_and_die(void) {
  for (int generation = 0; generation < kGenerations; ++generation) {
    const size_t bytes = (size_t)(kBytes * (generation + 1));
    for (int i = 0; i < kBlocks; ++i) blocks[generation][i] = allocate(bytes);
    int ends[2];
    if (pipe(ends) != 0) _exit(1);
    const pid_t child = generation + 1 < kGenerations ? fork() : -1;
    close(ends[child == 0 ? 1 : 0]);
    if (child != 0) end_generation(generation, bytes);
    outlive(ends[0]);
  }
}

int main(void) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 2;
  const pid_t first = fork();
  if (first < 0) return 2;
  if (first == 0) live_and_die();
  int status, ended = 0, failed = 0;
  while (wait(&status) > 0) {
    ++ended;
    failed += status != 0;
  }
  printf("%d ended, %d failed\n", ended, failed);
  return failed;
}
