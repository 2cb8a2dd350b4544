// SPDX-License-Identifier: Apache-2.0
//
// A malloc that counts and hands on to the next one (dlsym(RTLD_NEXT)), as so many tools have. A library to be
// preloaded; with -DIN_PROGRAM wraps_malloc.c has it in the program itself.
#include <dlfcn.h>
#include <stdlib.h>

unsigned long wrapped_calls;

void* malloc(size_t bytes) {
  static void* (*next)(size_t);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "malloc");
  __atomic_fetch_add(&wrapped_calls, 1, __ATOMIC_RELAXED);
  return next(bytes);
}

void free(void* block) {
  static void (*next)(void*);
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "free");
  next(block);
}
