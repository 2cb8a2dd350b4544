// SPDX-License-Identifier: Apache-2.0
//
// Leaks one block of 1000 + N bytes, allocates and frees a few thousand, and executes itself with N - 1, down to 0, in
// the same process; with `raw` as second argument by the bare system call, which no hook sees. Image 0 waits for the
// end of standard input. Expected: a stream for each of the N + 1 images, each with one live block of its own size and
// nothing of the others'; all but the last ended by exec.

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void* volatile leaked;
void* volatile scratch;

static __attribute__((noinline)) void leak(size_t bytes) { leaked = malloc(bytes); }

static __attribute__((noinline)) void work(void) {
  for (int i = 0; i < 5000; ++i) {
    scratch = malloc(64);
    free(scratch);
  }
}

extern char** environ;

int main(int argc, char** argv) {
  const int rest = argc > 1 ? atoi(argv[1]) : 0;
  const int raw = argc > 2 && strcmp(argv[2], "raw") == 0;
  leak(1000 + (size_t)rest);
  work();
  if (rest == 0) {
    char byte;
    return read(STDIN_FILENO, &byte, 1) < 0;
  }
  char next[16];
  snprintf(next, sizeof next, "%d", rest - 1);
  char* arguments[] = {argv[0], next, raw ? argv[2] : NULL, NULL};
  if (raw) syscall(SYS_execve, "/proc/self/exe", arguments, environ);
  else execv("/proc/self/exe", arguments);
  return 1;
}
