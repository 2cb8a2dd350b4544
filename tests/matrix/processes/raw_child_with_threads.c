// SPDX-License-Identifier: Apache-2.0
//
// Children made by the bare system call, which no fork handler sees, start six threads that all allocate at the same
// instant, large blocks, each of which is sampled; so these are what tells that this is another process. Argument 1:
// how many children.
//
// Expected: every child ends with 0, with what its threads did in its own recording.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kThreads = 6, kRounds = 5 };
static const size_t kBytes = 16 << 20;

static atomic_int ready;
void* volatile held;

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }

static void* run(void* unused) {
  atomic_fetch_add(&ready, 1);
  while (atomic_load(&ready) < kThreads) {
  }
  for (int i = 0; i < kRounds; ++i) free(allocate());
  return unused;
}

static void be_child(void) {
  pthread_t thread[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, NULL) != 0) _exit(1);
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
  process_truth((pid_t)syscall(SYS_getpid), "allocate", kThreads * kRounds, kThreads * kRounds * kBytes, 0, 0);
  _exit(0);
}

int main(int argc, char** argv) {
  const int children = argc > 1 ? atoi(argv[1]) : 1;
  held = allocate();
  int failed = 0;
  for (int i = 0; i < children; ++i) {
    const pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0) return 2;
    if (child == 0) be_child();
    int status = 1;
    failed += waitpid(child, &status, 0) != child || status != 0;
  }
  printf("%d children, %d failed\n", children, failed);
  process_truth(getpid(), "allocate", 1, kBytes, 1, kBytes);
  return failed != 0;
}
