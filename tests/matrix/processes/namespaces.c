// SPDX-License-Identifier: Apache-2.0
//
// Leaves each kind of namespace, and what threads share, by unshare(2), each in a child of its own that has allocated
// before and does afterwards; in a new pid namespace the child's child is pid 1. A user namespace cannot be left by a
// process with threads.
//
// Expected: each call has the same result as without seep, and the counts are true.
#include <sched.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kBlocks = 200, kBytes = 300 };

void* volatile kept[2][kBlocks];

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }

static void work(int stage) {
  for (int i = 0; i < kBlocks; ++i) kept[stage][i] = allocate();
}

static void tell(unsigned long times) {
  const unsigned long blocks = times * kBlocks;
  process_truth(getpid(), "allocate", blocks, blocks * kBytes, blocks, blocks * kBytes);
}

static int status_of(pid_t child) {
  int status = 1;
  return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

static void leave(const char* name, int flags) {
  work(0);
  errno = 0;
  const int result = unshare(flags);
  printf("%s: %d, errno %d\n", name, result, errno);
  fflush(stdout);
  work(1);
  tell(2);
  if (result == 0 && (flags & CLONE_NEWPID) != 0) {
    const pid_t child = fork();
    if (child == 0) {
      work(0);
      printf("%s: pid %d\n", name, (int)getpid());
      tell(1);
      exit(0);
    }
    exit(status_of(child));
  }
  exit(0);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  const struct {
    const char* name;
    int flags;
  } kinds[] = {{"user", CLONE_NEWUSER},
               {"mount", CLONE_NEWNS},
               {"pid", CLONE_NEWPID},
               {"user and pid", CLONE_NEWUSER | CLONE_NEWPID},
               {"network", CLONE_NEWNET},
               {"host name", CLONE_NEWUTS},
               {"descriptors", CLONE_FILES},
               {"directories", CLONE_FS},
               {"threads", CLONE_THREAD | CLONE_SIGHAND | CLONE_VM}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    const pid_t child = fork();
    if (child == 0) leave(kinds[i].name, kinds[i].flags);
    printf("%s: status %d\n", kinds[i].name, status_of(child));
  }
  return 0;
}
