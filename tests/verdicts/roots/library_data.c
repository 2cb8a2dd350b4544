// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands in the data of a library that was opened with dlopen: one that stays open while
// others, opened before and after it, are closed; one that is closed; one that is closed and opened again.
// Arguments: three copies of one library.
//
// Expected: what the open library holds is reachable, what the closed ones held is definite, also where the library
// came back, since its data is new then.
#include <dlfcn.h>

#include "told.h"

static void* open_library(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  must(library != NULL, dlerror());
  return library;
}

SITE static void fill(void* library) {
  void (*keep_two)(void) = (void (*)(void))(uintptr_t)dlsym(library, "keep_two");
  must(keep_two != NULL, "dlsym");
  keep_two();
}

int main(int argc, char** argv) {
  must(argc == 4, "arguments");
  void* before = open_library(argv[1]);
  void* kept = open_library(argv[2]);
  void* after = open_library(argv[3]);
  fill(before);
  fill(kept);
  fill(after);
  must(dlclose(before) == 0 && dlclose(after) == 0, "dlclose");
  open_library(argv[3]);
  tell("keep_two", "reachable", 2, 40 + 4000);
  tell("keep_two", "definite", 4, 2 * (40 + 4000));
  last_words();
  return 0;
}
