// SPDX-License-Identifier: Apache-2.0
//
// The library of registered_early: its constructor registers handlers of the end before libseep.so's constructor can
// have, so they run after its. on_exit's are not of the library, as atexit's are: nothing runs them when it is
// unloaded. Runs in the program under test.
#include "registered_early.h"
#include "truth.h"

int registered_early;

static void at_exit(int status, void* argument) {
  (void)status, (void)argument;
  end_of_library(0);
}

static void at_quick(void) { end_of_library(1); }

__attribute__((constructor)) static void construct(void) {
  on_exit(at_exit, NULL);
  at_quick_exit(at_quick);
  registered_early = 1;
}
