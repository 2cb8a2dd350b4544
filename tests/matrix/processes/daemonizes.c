// SPDX-License-Identifier: Apache-2.0
//
// Becomes a daemon by the book: forks, the parent ends; a new session; forks, the parent ends; all descriptors are
// closed. With argument 1 it then leaves its root directory for that one and becomes the user 65534. All three
// allocate, the daemon before and after. The first process is the reaper of all, waits for them, and says how they
// ended.
//
// Expected: everybody ends by itself with 0, and each one's own recording is true. In its new root the daemon cannot
// reach its output: then its recording stays in shared memory, whole.
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kBlocks = 100, kKept = 40, kBytes = 700 };

void* volatile kept[3][kKept];

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }

static void work(int stage) {
  for (int i = 0; i < kBlocks; ++i) {
    void* block = allocate();
    if (i < kKept) kept[stage][i] = block;
    else free(block);
  }
}

static void tell(unsigned long times) {
  process_truth(getpid(), "allocate", times * kBlocks, times * kBlocks * kBytes, times * kKept, times * kKept * kBytes);
}

static void leave_root(const char* directory) {
  if (chroot(directory) != 0 || setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
}

static void be_daemon(const char* new_root) {
  tell(2);
  work(1);
  umask(0);
  if (chdir("/") != 0) _exit(2);
  closefrom(0);
  if (new_root != NULL) leave_root(new_root);
  work(2);
  exit(0);
}

static void daemonize(const char* new_root) {
  work(0);
  tell(1);
  const pid_t second = fork();
  if (second != 0) exit(second < 0);
  setsid();
  const pid_t third = fork();
  if (third == 0) be_daemon(new_root);
  _exit(third < 0);
}

int main(int argc, char** argv) {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 2;
  const pid_t first = fork();
  if (first < 0) return 2;
  if (first == 0) daemonize(argc > 1 ? argv[1] : NULL);
  int status, ended = 0, failed = 0;
  while (wait(&status) > 0) {
    ++ended;
    failed += status != 0;
  }
  printf("%d ended, %d failed\n", ended, failed);
  return failed;
}
