/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocates for a while, then says what it can see of its own process: threads, open descriptors, signal dispositions, the
 * signal mask, the alternate stack. "work" only allocates.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void* volatile keep[64];

static void work(void) {
  for (int i = 0; i < 20000; ++i) {
    void* volatile* slot = &keep[i % 64];
    free(*slot);
    *slot = i % 3 == 0 ? calloc(3, (size_t)(i % 500)) : i % 3 == 1 ? malloc((size_t)i) : realloc(NULL, 77);
    *slot = realloc(*slot, (size_t)(i % 700) + 1);
  }
}

static int entries(const char* path) {
  int count = 0;
  DIR* directory = opendir(path);
  while (directory != NULL && readdir(directory) != NULL) ++count;
  closedir(directory);
  return count - 2;
}

int main(int argc, char** argv) {
  work();
  if (argc > 1 && strcmp(argv[1], "work") == 0) return 0;
  printf("threads: %d\n", entries("/proc/self/task"));
  for (int fd = 0; fd < 2000; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) printf("descriptor %d\n", fd);
  }
  for (int number = 1; number < 65; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) printf("signal %d is handled\n", number);
  }
  sigset_t mask;
  sigprocmask(SIG_BLOCK, NULL, &mask);
  for (int number = 1; number < 65; ++number) {
    if (sigismember(&mask, number) == 1) printf("signal %d is blocked\n", number);
  }
  stack_t stack;
  sigaltstack(NULL, &stack);
  printf("alternate stack: %s\n", stack.ss_flags & SS_DISABLE ? "none" : "one");
  return 0;
}
