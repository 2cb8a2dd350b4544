// SPDX-License-Identifier: Apache-2.0
//
// Allocates in children that run in their parent's memory: 20 vfork children, each of which leaks one block of 77
// bytes, frees one of its parent's, and ends by _exit (even ones) or by the exec of argument 1; 20 posix_spawn and 20
// posix_spawnp children of argument 1. Before and after, the parent leaks one block of 500 bytes. Expected: one stream
// of this program, ended by exit 0, with 20 live blocks of 77 bytes, 10 of 64 (of 30), 2 of 500; one stream for each
// program that was executed.

#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kChildren = 20, kParentBlocks = 30 };

extern char** environ;

void* volatile leaked[kChildren + 2];
void* volatile parents[kParentBlocks];

static __attribute__((noinline)) void allocate_in_parent(void) {
  for (int i = 0; i < kParentBlocks; ++i) parents[i] = malloc(64);
}

static __attribute__((noinline)) void leak_in_parent(int which) { leaked[kChildren + which] = malloc(500); }

static __attribute__((noinline)) void leak_in_vfork_child(int which) { leaked[which] = malloc(77); }

static int wait_for(pid_t child) {
  int status = 1;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static pid_t vfork_child(const char* program, int which) {
  char* const arguments[] = {(char*)program, NULL};
  const pid_t child = vfork();
  if (child != 0) return child;
  leak_in_vfork_child(which);
  free(parents[which]);
  if (which % 2 == 0) _exit(0);
  execv(program, arguments);
  _exit(1);
}

static int vfork_children(const char* program) {
  int failed = 0;
  for (int i = 0; i < kChildren; ++i) failed |= wait_for(vfork_child(program, i));
  return failed;
}

static int spawned_children(const char* program) {
  char* const arguments[] = {(char*)program, NULL};
  int failed = 0;
  for (int i = 0; i < 2 * kChildren; ++i) {
    pid_t child = -1;
    const int error = (i % 2 == 0 ? posix_spawn : posix_spawnp)(&child, program, NULL, NULL, arguments, environ);
    failed |= error != 0 ? 1 : wait_for(child);
  }
  return failed;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  allocate_in_parent();
  leak_in_parent(0);
  const int failed = vfork_children(argv[1]) | spawned_children(argv[1]);
  leak_in_parent(1);
  return failed;
}
