// SPDX-License-Identifier: Apache-2.0
//
// Grows as it is told: reads letters from stdin, does each and then writes it to stdout, and meanwhile allocates and
// frees in between(). `s`: steady() leaks 100 blocks of 1,000 bytes. `b`: burst() leaks 7 blocks of 100,000 bytes. `x`:
// becomes a new image by a system call that no hook sees. `k`: kills itself. Expected: what was told, at those two
// sites.

#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char** environ;

void* volatile kept;

static __attribute__((noinline)) void steady(void) {
  for (int i = 0; i < 100; ++i) kept = malloc(1000);
}

static __attribute__((noinline)) void burst(void) {
  for (int i = 0; i < 7; ++i) kept = malloc(100000);
}

static __attribute__((noinline)) void between(void) {
  for (int i = 0; i < 300; ++i) {
    kept = malloc(64);
    free(kept);
  }
}

static int is_told(char* letter) {
  struct pollfd told = {.fd = STDIN_FILENO, .events = POLLIN};
  while (poll(&told, 1, 2) == 0) between();
  return read(STDIN_FILENO, letter, 1) == 1;
}

int main(int argc, char** argv) {
  char letter = 0;
  while (is_told(&letter)) {
    if (letter == 's') steady();
    if (letter == 'b') burst();
    if (letter == 'k') raise(SIGKILL);
    if (letter == 'x') syscall(SYS_execve, argv[0], argv, environ);
    if (write(STDOUT_FILENO, &letter, 1) != 1) return 3;
  }
  return argc > 5;
}
