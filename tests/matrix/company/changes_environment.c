// SPDX-License-Identifier: Apache-2.0
//
// Sets LD_PRELOAD itself, or clears the environment, and runs itself once more. First argument: `clear`, `set`,
// `prepend`, or `end`; the second: the library that it preloads.
//
// Expected: as without seep; the environment that it sees is the one it was given. What runs without seep is not
// recorded.
#include "truth.h"

enum { kTimes = 100, kBytes = 2200 };

__attribute__((noinline)) static void allocates_first(void) {
  for (int i = 0; i < kTimes; ++i) free(escape(malloc(kBytes)));
}

__attribute__((noinline)) static void allocates_last(void) {
  for (int i = 0; i < kTimes; ++i) free(escape(malloc(kBytes)));
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  if (strcmp(arguments[1], "end") == 0) {
    allocates_last();
    const char* preload = getenv("LD_PRELOAD");
    printf("%s preloaded\n", preload == NULL ? "nothing" : strcmp(preload, arguments[2]) == 0 ? "the library" : "more");
    return 0;
  }
  allocates_first();
  truth_site("allocates_first", kTimes, kTimes * kBytes, 0, 0);
  if (strcmp(arguments[1], "prepend") == 0) truth_site("allocates_last", kTimes, kTimes * kBytes, 0, 0);
  if (strcmp(arguments[1], "clear") == 0) clearenv();
  if (strcmp(arguments[1], "set") == 0) setenv("LD_PRELOAD", arguments[2], 1);
  if (strcmp(arguments[1], "prepend") == 0) {
    char both[4096];
    const char* old = getenv("LD_PRELOAD");
    snprintf(both, sizeof both, "%s:%s", arguments[2], old == NULL ? arguments[2] : old);
    setenv("LD_PRELOAD", both, 1);
  }
  execl("/proc/self/exe", arguments[0], "end", arguments[2], NULL);
  return 3;
}
