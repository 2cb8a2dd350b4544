// SPDX-License-Identifier: Apache-2.0
//
// Runs a command and writes to a file the most memory that it had resident, in KiB, and the processor time that it
// took, in microseconds: `peak FILE CMD ARG...`. What a big process like Python reads of its own child includes what
// the child had before it executed the command.

#define _GNU_SOURCE  // wait4
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long microseconds(struct timeval time) { return time.tv_sec * 1000000 + time.tv_usec; }

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const pid_t child = fork();
  if (child == 0) {
    execvp(argv[2], argv + 2);
    _exit(127);
  }
  int status = 0;
  struct rusage usage;
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return 1;
  FILE* file = fopen(argv[1], "w");
  if (file == NULL) return 1;
  fprintf(file, "%ld %ld\n", usage.ru_maxrss, microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
  fclose(file);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
