// SPDX-License-Identifier: Apache-2.0
//
// Keeps the only pointer to a block of malloc's in one of jemalloc's mallocx, which is not observed. Expected: one
// line, "0 0": a verdict, and no leak. Runs as the program under test, linked with jemalloc.
#include "seep/seep.h"
#include "told.h"

extern void* mallocx(size_t bytes, int flags);

enum { kBytes = 300000 };
static void** volatile holder;

SITE static void hold(void) {
  holder = (void**)mallocx(kBytes, 0);
  must(holder != NULL, "mallocx");
  memset((void*)holder, 0, kBytes);
  holder[1000] = malloc(100);
}

int main(void) {
  struct seep_leaks leaks;
  hold();
  forget();
  const int result = seep_check_leaks(&leaks);
  printf("%d %zu\n", result, leaks.definite_blocks);
  return 0;
}
