// SPDX-License-Identifier: Apache-2.0
//
// Three threads allocate through deep frames and walk their stacks all the time, and each loads and closes libraries in
// between, so that code comes and goes while others walk. Arguments: the two libraries.
//
// Expected: it ends, nobody faults, and everything is counted where it was.
#include <dlfcn.h>
#include <pthread.h>

#include "truth.h"

enum { kThreads = 3, kRounds = 150, kInLibrary = 4, kBetween = 50, kBytes = 2000 };

__attribute__((noinline)) static void* allocates_between(int depth) {
  if (depth > 0) return escape(allocates_between(depth - 1));
  return escape(malloc(kBytes));
}

static void* run(void* argument) {
  char** paths = argument;
  for (int round = 0; round < kRounds; ++round) {
    void* library = dlopen(paths[round % 2], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) abort();
    void* (*allocate)(size_t) = (void* (*)(size_t))dlsym(library, "allocate");
    for (int i = 0; i < kInLibrary; ++i) {
      void* block = allocate(kBytes);
      if (i != 0) free(block);
    }
    dlclose(library);
    for (int i = 0; i < kBetween; ++i) free(allocates_between(i));
  }
  return NULL;
}

int main(int count, char** arguments) {
  if (count != 3) return 2;
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, run, arguments + 1);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  const unsigned long in_each = kThreads * kRounds / 2, between = kThreads * kRounds * kBetween;
  truth_site("allocates_in_small_frame", in_each * kInLibrary, in_each * kInLibrary * kBytes, in_each,
             in_each * kBytes);
  truth_site("allocates_in_large_frame", in_each * kInLibrary, in_each * kInLibrary * kBytes, in_each,
             in_each * kBytes);
  truth_site("allocates_between", between, between * kBytes, 0, 0);
  return 0;
}
