// SPDX-License-Identifier: Apache-2.0
//
// Started without some or all of the standard descriptors: the files that it opens first get their numbers. It writes
// to them, allocates in two threads and in a child, and ends. Argument: a directory for the files; how many to open.
//
// Expected: the files hold what it wrote to them and nothing else; nothing of seep's, whatever seep has to say.
#include <pthread.h>
#include <sys/wait.h>

#include "truth.h"

enum { kTimes = 2000, kBytes = 900 };

__attribute__((noinline)) static void allocates_unheard(void) {
  for (int i = 0; i < kTimes; ++i) free(escape(malloc(kBytes)));
  truth_site("allocates_unheard", kTimes, kTimes * kBytes, 0, 0);
}

static void* body(void* argument) {
  allocates_unheard();
  return argument;
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const int files = atoi(arguments[2]);
  int lowest = -1;
  for (int i = 0; i < files; ++i) {
    char path[512];
    snprintf(path, sizeof path, "%s/file.%d", arguments[1], i);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (i == 0) lowest = fd;
    dprintf(fd, "this is file %d, by the number %d\n", i, fd);
  }
  pthread_t thread;
  pthread_create(&thread, NULL, body, NULL);
  for (int i = 0; i < kTimes; ++i) (void)!write(2, "to 2\n", 5);
  allocates_unheard();
  pthread_join(thread, NULL);
  const pid_t child = fork();
  if (child == 0) {
    allocates_unheard();
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  for (int i = 0; i < files; ++i) dprintf(lowest + i, "the end, the child ended with %d\n", status);
  return 0;
}
