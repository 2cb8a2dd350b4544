// SPDX-License-Identifier: Apache-2.0
//
// The least that a preload with malloc hooks can do: call the next allocator, nothing else. The bar for seep's hooks.
// Not for use: it looks up its functions once, and has no bootstrap arena.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

static void* (*next_malloc)(size_t);
static void (*next_free)(void*);
static void* (*next_calloc)(size_t, size_t);
static void* (*next_realloc)(void*, size_t);

static void find_next(void) {
  // ISO C has no conversion from an object pointer to a function; POSIX asks for this way of writing it.
  *(void**)&next_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void**)&next_free = dlsym(RTLD_NEXT, "free");
  *(void**)&next_calloc = dlsym(RTLD_NEXT, "calloc");
  *(void**)&next_realloc = dlsym(RTLD_NEXT, "realloc");
}

void* malloc(size_t size_bytes) {
  if (__builtin_expect(next_malloc == NULL, 0)) find_next();
  return next_malloc(size_bytes);
}

void free(void* block) {
  if (__builtin_expect(next_free == NULL, 0)) find_next();
  next_free(block);
}

void* calloc(size_t count, size_t size_bytes) {
  if (__builtin_expect(next_calloc == NULL, 0)) find_next();
  return next_calloc(count, size_bytes);
}

void* realloc(void* block, size_t size_bytes) {
  if (__builtin_expect(next_realloc == NULL, 0)) find_next();
  return next_realloc(block, size_bytes);
}
