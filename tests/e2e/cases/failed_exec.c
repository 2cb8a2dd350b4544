// SPDX-License-Identifier: Apache-2.0
//
// Holds 7 blocks of 1,000 bytes, tries in vain to execute what is not there, a directory and an empty file that may be
// executed (argument 1), then leaks 3 blocks of 300 bytes and kills itself. Expected: all ten blocks are live in the
// report, the process did not end by exec.

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void* volatile held[7];
void* volatile leaked[3];

static __attribute__((noinline)) void hold(void) {
  for (int i = 0; i < 7; ++i) held[i] = malloc(1000);
}

static __attribute__((noinline)) void leak_after_exec(void) {
  for (int i = 0; i < 3; ++i) leaked[i] = malloc(300);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  hold();
  execlp("seep-test-no-such-program", "x", (char*)NULL);
  execl("/tmp", "x", (char*)NULL);
  execl(argv[1], "x", (char*)NULL);
  leak_after_exec();
  raise(SIGKILL);
  return 1;
}
