// SPDX-License-Identifier: Apache-2.0
//
// Leaks one block of 100 + N bytes and executes itself with N - 1, down to 0, in the same process. Expected: a stream
// for each of the N + 1 images, each with one live block of its own size; all but the last ended by exec.

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void* volatile leaked;

static __attribute__((noinline)) void leak(size_t size_bytes) { leaked = malloc(size_bytes); }

int main(int argc, char** argv) {
  int rest = argc > 1 ? atoi(argv[1]) : 0;
  leak(100 + (size_t)rest);
  if (rest == 0) return 0;
  char next[16];
  snprintf(next, sizeof next, "%d", rest - 1);
  char* arguments[] = {argv[0], next, NULL};
  execv("/proc/self/exe", arguments);
  return 1;
}
