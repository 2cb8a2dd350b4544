// SPDX-License-Identifier: Apache-2.0
//
// The program has a dlsym of its own, as programs have that other tools wrap: a function like any other, that calls
// glibc's. So whoever asks through it for the next definition gets the one behind the program, whoever he is: a
// preloaded malloc that looks for the one behind itself finds itself.
//
// Expected: nothing differs, and what main makes is recorded.
#include <dlfcn.h>

#include "truth.h"

static int calls;

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }

void* dlsym(void* handle, const char* symbol) {
  static void* (*next)(void*, const char*);
  if (next == NULL) *(void**)&next = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
  void* found = next(handle, symbol);
  ++calls;  // So that the call above is no jump.
  return found;
}

int main(void) {
  void* found = dlsym(RTLD_DEFAULT, "getpid");
  for (int i = 0; i < 20; ++i) make(5000);
  truth_site("make", 20, 100000, 20, 100000);
  printf("found %d, called %d\n", found != NULL, calls > 0);
  return 0;
}
