// SPDX-License-Identifier: Apache-2.0
//
// Runs the commands given as arguments, one after the other, through fork and exec (not vfork, not posix_spawn).
// Expected: one stream of its own and those of the commands; its status is the sum of theirs.

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int sum = 0;
  for (int i = 1; i < argc; ++i) {
    pid_t child = fork();
    if (child == 0) {
      execl(argv[i], argv[i], (char*)NULL);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  return sum;
}
