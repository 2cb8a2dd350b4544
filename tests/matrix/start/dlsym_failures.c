// SPDX-License-Identifier: Apache-2.0
//
// Eight threads look up symbols and libraries that do not exist and ask dlerror why, which allocates inside libc and
// under the loader's lock, and allocate themselves all the while.
//
// Expected: each failure is told, once, in the loader's words; what is live is what each thread kept.
#include <dlfcn.h>
#include <pthread.h>

#include "truth.h"

enum { kThreads = 8, kRounds = 400, kKeepEach = 8 };

__attribute__((noinline)) static void* make_between_failures(size_t bytes) { return escape(malloc(bytes)); }

// Whether the error is there, names what was asked for, and is gone when asked again.
static int told_of(const char* what) {
  const char* error = dlerror();
  return error != NULL && strstr(error, what) != NULL && dlerror() == NULL;
}

static void* fail_and_allocate(void* argument) {
  unsigned long* told = argument;
  for (int i = 0; i < kRounds; ++i) {
    char symbol[64], library[64];
    snprintf(symbol, sizeof symbol, "no_symbol_%d", i);
    snprintf(library, sizeof library, "libno_library_%d.so", i);
    void* block = make_between_failures(500);
    *told += dlsym(RTLD_DEFAULT, symbol) == NULL && told_of(symbol);
    *told += dlsym(RTLD_NEXT, symbol) == NULL && told_of(symbol);
    if (i % 16 == 0) *told += dlopen(library, RTLD_NOW) == NULL && told_of(library);
    if (i % (kRounds / kKeepEach) != 0) free(block);
  }
  return NULL;
}

int main(void) {
  pthread_t threads[kThreads];
  unsigned long told[kThreads] = {0};
  unsigned long sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, fail_and_allocate, &told[i]) != 0) return 2;
  }
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    sum += told[i];
  }
  printf("told %lu times\n", sum);
  truth_site("make_between_failures", kThreads * kRounds, 500 * kThreads * kRounds, kThreads * kKeepEach,
             500 * kThreads * kKeepEach);
  return sum == kThreads * (2 * kRounds + kRounds / 16) ? 0 : 1;
}
