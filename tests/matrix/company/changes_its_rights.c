// SPDX-License-Identifier: Apache-2.0
//
// Does what changes how others, and /proc, see a process: `dumpable` (PR_SET_DUMPABLE to 0), `user` (a user namespace
// of its own, which a process with threads is refused), `mount`, `pid` (its next child is process 1),
// `no-new-privileges`. Allocates before and after, and in a child.
//
// Expected: each call has the outcome that it has without seep; everything is counted.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "truth.h"

enum { kTimes = 300, kBytes = 2100 };

__attribute__((noinline)) static void allocates_with_rights(void) {
  for (int i = 0; i < kTimes; ++i) free(escape(malloc(kBytes)));
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const char* what = arguments[1];
  allocates_with_rights();
  truth_site("allocates_with_rights", 3 * kTimes, 3 * kTimes * kBytes, 0, 0);
  errno = 0;
  const int result = strcmp(what, "dumpable") == 0 ? prctl(PR_SET_DUMPABLE, 0)
                     : strcmp(what, "user") == 0   ? unshare(CLONE_NEWUSER)
                     : strcmp(what, "mount") == 0  ? unshare(CLONE_NEWNS | CLONE_FS)
                     : strcmp(what, "pid") == 0    ? unshare(CLONE_NEWPID)
                                                   : prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  printf("%s: %d, errno %d\n", what, result, errno);
  fflush(stdout);
  allocates_with_rights();
  const pid_t child = fork();
  if (child == 0) {
    allocates_with_rights();
    printf("child %s\n", getpid() == 1 ? "1" : "of some number");
    fflush(stdout);
    _exit(0);
  }
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  printf("it ended with %d\n", status);
  return 0;
}
