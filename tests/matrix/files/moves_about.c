// SPDX-License-Identifier: Apache-2.0
//
// Changes its working directory, its umask, and removes the directory that it began in. Argument: `stay`, `root`, or
// `remove`.
//
// Expected: as without seep. The recording is where it was to be when the program began, readable by its owner alone.
#include <sys/stat.h>

#include "truth.h"

enum { kTimes = 3000, kBytes = 1100 };

__attribute__((noinline)) static void allocates_everywhere(void) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = escape(malloc(kBytes));
    if (i % 100 != 0) free(block);
  }
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  char here[4096];
  if (getcwd(here, sizeof here) == NULL) return 2;
  umask(strcmp(arguments[1], "stay") == 0 ? 0777 : 0);
  allocates_everywhere();
  if (strcmp(arguments[1], "root") == 0 && chdir("/") != 0) return 2;
  if (strcmp(arguments[1], "remove") == 0) printf("removed: %d\n", rmdir(here));
  allocates_everywhere();
  puts(getcwd(here, sizeof here) != NULL ? "somewhere" : "nowhere");
  truth_site("allocates_everywhere", 2 * kTimes, 2 * kTimes * kBytes, 2 * kTimes / 100, 2 * kTimes / 100 * kBytes);
  return 0;
}
