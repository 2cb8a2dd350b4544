// SPDX-License-Identifier: Apache-2.0
//
// Becomes the user 65534 while it runs, with three threads, and forbids to be dumped, so that /proc/self is root's;
// then allocates from deeper stacks, in its threads, in a new one, and in a child.
//
// Expected: the calls succeed, and each process's recording is true.
#include <grp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kThreads = 3, kDepths = 50, kBytes = 400 };

void* volatile kept[2 * kThreads + 3][kDepths];
static pthread_barrier_t changed;

// From one level deeper each time.
__attribute__((noinline)) static void* allocate(int depth) {
  if (depth > 0) {
    void* block = allocate(depth - 1);
    __asm__ volatile("" ::: "memory");
    return block;
  }
  return escape(malloc(kBytes));
}

static void work(void* volatile* slot) {
  for (int depth = 0; depth < kDepths; ++depth) slot[depth] = allocate(depth);
}

static void* run(void* slots) {
  work(slots);
  pthread_barrier_wait(&changed);
  pthread_barrier_wait(&changed);
  work((void* volatile*)slots + kThreads * kDepths);
  return NULL;
}

static void* run_later(void* slots) {
  work(slots);
  return NULL;
}

int main(void) {
  umask(0);
  pthread_t thread[kThreads], later;
  pthread_barrier_init(&changed, NULL, kThreads + 1);
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, (void*)kept[i]) != 0) return 2;
  }
  pthread_barrier_wait(&changed);
  if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) return 77;
  prctl(PR_SET_DUMPABLE, 0);
  const int fd = open("/proc/self/environ", O_RDONLY);
  printf("user %d, dumpable %d, /proc/self %s\n", (int)getuid(), prctl(PR_GET_DUMPABLE), fd < 0 ? "closed" : "open");
  fflush(stdout);
  pthread_barrier_wait(&changed);
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
  if (pthread_create(&later, NULL, run_later, (void*)kept[2 * kThreads]) != 0) return 2;
  pthread_join(later, NULL);
  work(kept[2 * kThreads + 1]);
  const pid_t child = fork();
  if (child == 0) {
    work(kept[2 * kThreads + 2]);
    process_truth(getpid(), "allocate", kDepths, kDepths * kBytes, kDepths, kDepths * kBytes);
    exit(0);
  }
  int status = 1;
  waitpid(child, &status, 0);
  const unsigned long blocks = (2 * kThreads + 2) * kDepths;
  process_truth(getpid(), "allocate", blocks, blocks * kBytes, blocks, blocks * kBytes);
  return status;
}
