// SPDX-License-Identifier: Apache-2.0
//
// A library that was opened with RTLD_DEEPBIND calls libc's malloc past everybody else's: its blocks are not seen, and one
// of them holds the only pointer to a block of the program.
//
// Expected: that block is reachable. Leaks that hide in the heap then are not found, which the report says.
#include <dlfcn.h>

#include "told.h"

SITE static void held_by_library(void (*keep)(void*)) { keep(blank(100)); }

int main(int argc, char** argv) {
  (void)argc;
  char path[4096];
  snprintf(path, sizeof path, "%s_library.so", argv[0]);
  void* library = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
  must(library != NULL, "dlopen");
  void (*keep)(void*);
  *(void**)&keep = dlsym(library, "keep");
  held_by_library(keep);
  forget();
  tell("held_by_library", "reachable", 1, 100);
  tell_as("valgrind", "held_by_library", "reachable", 1, 100);  // Which sees the library's block, too.
  tell_as("valgrind", "keep", "reachable", 1, 64);
  last_words();
  return 0;
}
