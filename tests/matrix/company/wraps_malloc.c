// SPDX-License-Identifier: Apache-2.0
//
// Defines malloc and free itself, which call the next ones, found by dlsym(RTLD_NEXT): these are the preload's.
//
// Expected: the same output; the recording is true, or says that it is none.
#include "truth.h"
#include "wrapping_library.c"

int main(void) {
  const unsigned long before = wrapped_calls;
  for (int i = 0; i < 1000; ++i) free(escape(malloc(3000)));
  printf("%lu calls\n", wrapped_calls - before);
  return 0;
}
