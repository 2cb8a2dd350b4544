// SPDX-License-Identifier: Apache-2.0
//
// The parent holds 10 blocks of 64 bytes and forks. The child frees 4 of them and leaks one of 333 bytes; the parent
// then frees 1. Expected: the parent has 9 live blocks at one site, the child exactly one site with one live block of
// 333 bytes, and 10 inherited blocks (640 bytes).

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void* volatile blocks[10];
void* volatile leaked;

static __attribute__((noinline)) void allocate_in_parent(void) {
  for (int i = 0; i < 10; ++i) blocks[i] = malloc(64);
}

static __attribute__((noinline)) void leak_in_child(void) { leaked = malloc(333); }

int main(void) {
  allocate_in_parent();
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 4; ++i) free(blocks[i]);
    leak_in_child();
    return 0;
  }
  int status = 1;
  waitpid(child, &status, 0);
  free(blocks[0]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
