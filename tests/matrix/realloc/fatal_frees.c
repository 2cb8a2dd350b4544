// SPDX-License-Identifier: Apache-2.0
//
// Does to glibc's allocator what it aborts for, as the argument says: frees "double" (a block of the thread's cache),
// "double_large", "foreign" (memory that is no block), "within" (a block); "moved_foreign" is a realloc.
//
// Expected: glibc's own words on stderr, and its SIGABRT, as without seep.
#include "truth.h"

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void free_wrongly(void* block) {
  free(escape(block));
  __asm__ volatile("" : : : "memory");
}

int main(int argc, char** argv) {
  static char foreign[64] __attribute__((aligned(16)));
  const char* how = argc > 1 ? argv[1] : "double";
  char* small = make(100);
  char* large = make(5000);
  make(5000);  // Keeps the large one from the end of the heap.
  const int freed = strcmp(how, "double") == 0 ? 100 : strcmp(how, "double_large") == 0 ? 5000 : 0;
  truth_site("make", 3, 10100, freed == 0 ? 3 : 2, 10100 - freed);
  printf("before\n");
  fflush(stdout);
  if (strcmp(how, "double") == 0) {
    free(small);
    free_wrongly(small);
  } else if (strcmp(how, "double_large") == 0) {
    free(large);
    free_wrongly(large);
  } else if (strcmp(how, "foreign") == 0) {
    free_wrongly(foreign + 16);
  } else if (strcmp(how, "within") == 0) {
    free_wrongly(large + 16);
  } else if (strcmp(how, "moved_foreign") == 0) {
    escape(realloc(foreign + 16, 5000));
  }
  printf("after\n");
  return 0;
}
