// SPDX-License-Identifier: Apache-2.0
//
// Holds 7 blocks of 1,000 bytes and ends as its argument says: return, exit, _exit, quick_exit, abort, segv, kill, term.
// Expected: the 7 blocks are live in the report, and the end is the recorded one, also where it came before any snapshot.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void* volatile held[7];

static void hold(void) {
  for (int i = 0; i < 7; ++i) held[i] = malloc(1000);
}

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "return";
  hold();
  if (strcmp(how, "exit") == 0) exit(5);
  if (strcmp(how, "_exit") == 0) _exit(6);
  if (strcmp(how, "quick_exit") == 0) quick_exit(7);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "segv") == 0) raise(SIGSEGV);
  if (strcmp(how, "kill") == 0) raise(SIGKILL);
  if (strcmp(how, "term") == 0) raise(SIGTERM);
  return 4;
}
