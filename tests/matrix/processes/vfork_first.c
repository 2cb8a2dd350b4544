// SPDX-License-Identifier: Apache-2.0
//
// The first allocation of the process takes place in a vfork child, so that the recording is begun there; the parent
// allocates afterwards.
//
// Expected: one recording, the parent's, with its pid and its parent's pid, and what both did.
#include <sys/wait.h>

#include "process_truth.h"

enum { kBlocks = 20, kBytes = 111, kChildBytes = 222 };

void* volatile kept[kBlocks];
void* volatile leaked;

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* allocate_in_child(void) { return escape(malloc(kChildBytes)); }

__attribute__((noinline)) static pid_t start_child(void) {
  const pid_t child = vfork();
  if (child != 0) return child;
  leaked = allocate_in_child();
  _exit(0);
}

int main(void) {
  int status = 1;
  const pid_t child = start_child();
  if (child < 0 || waitpid(child, &status, 0) != child) return 2;
  for (int i = 0; i < kBlocks; ++i) kept[i] = allocate();
  process_truth(getpid(), "allocate", kBlocks, kBlocks * kBytes, kBlocks, kBlocks * kBytes);
  process_truth(getpid(), "allocate_in_child", 1, kChildBytes, 1, kChildBytes);
  return status;
}
