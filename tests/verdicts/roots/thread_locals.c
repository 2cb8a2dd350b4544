// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer is thread-local: of the program, and of a library that was opened with dlopen (dynamic TLS,
// small and large), in the main thread, in a thread that waits, and in one that has ended.
// Argument: the library.
//
// Expected: reachable, but what the thread that has ended held: definite. A thread's table of dynamic TLS is a block of
// the loader's that its thread points into the middle of, so what only that leads to is `possible` for Valgrind, save
// in the main thread, whose table is older than malloc.
#include <dlfcn.h>

#include "threads.h"

static __thread void* initialized = (void*)8;
static __thread void* uninitialized;
static void (*keep_two)(void);

static void keep_stores(void) {
  escape(&initialized);
  escape(&uninitialized);
}
SITE static void from_main(void) {
  initialized = blank(24);
  uninitialized = blank(25);
  keep_stores();
}
SITE static void from_waiting(void) {
  initialized = blank(34);
  uninitialized = blank(35);
  keep_stores();
}
SITE static void from_ended(void) {
  initialized = blank(44);
  uninitialized = blank(45);
  keep_stores();
}

static void* waits(void* unused) {
  from_waiting();
  keep_two();
  forget();
  stay();
  return unused;
}
static void* ends(void* unused) {
  from_ended();
  keep_two();
  forget();
  return unused;
}

int main(int argc, char** argv) {
  must(argc == 2, "arguments");
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  must(library != NULL, dlerror());
  keep_two = (void (*)(void))(uintptr_t)dlsym(library, "keep_two");
  must(keep_two != NULL, "dlsym");
  from_main();
  keep_two();
  pthread_t ended;
  must(pthread_create(&ended, NULL, ends, NULL) == 0 && pthread_join(ended, NULL) == 0, "a thread");
  begin(waits);
  wait_for_threads(1);
  tell("from_main", "reachable", 2, 24 + 25);
  tell("from_waiting", "reachable", 2, 34 + 35);
  tell("from_ended", "definite", 2, 44 + 45);
  tell("keep_two", "reachable", 4, 2 * (300 + 400));
  tell("keep_two", "definite", 2, 300 + 400);
  tell_of_valgrind("keep_two", "reachable", 2, 300 + 400);
  tell_of_valgrind("keep_two", "possible", 2, 300 + 400);
  tell_of_valgrind("keep_two", "definite", 2, 300 + 400);
  last_words();
  return 0;
}
