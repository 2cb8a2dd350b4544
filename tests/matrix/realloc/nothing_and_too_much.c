// SPDX-License-Identifier: Apache-2.0
//
// Sizes of nothing, null pointers, overflows and sizes that nobody has; malloc_usable_size of all that comes back.
//
// Expected: the same results, errno and usable sizes as without seep; blocks of no bytes are blocks.
#include <malloc.h>
#include <stdint.h>

#include "truth.h"

enum { kBlocks = 50 };
static volatile size_t nothing = 0, one = 1, too_much = PTRDIFF_MAX;

__attribute__((noinline)) static void* no_bytes(void) { return escape(malloc(nothing)); }
__attribute__((noinline)) static void* no_count(void) { return escape(calloc(nothing, 10)); }
__attribute__((noinline)) static void* no_size(void) { return escape(calloc(10, nothing)); }
__attribute__((noinline)) static void* null_to_nothing(void) { return escape(realloc(NULL, nothing)); }
__attribute__((noinline)) static void* null_to_no_array(void) { return escape(reallocarray(NULL, nothing, nothing)); }
__attribute__((noinline)) static void* array_of_nothing(void) { return escape(reallocarray(malloc(30), 7, nothing)); }
__attribute__((noinline)) static void* array(size_t count, size_t bytes) {
  return escape(reallocarray(NULL, count, bytes));
}

static void say(const char* what, const void* result) {
  printf("%s: %s, errno %d\n", what, result == NULL ? "null" : "block", errno);
  errno = 0;
}

static void say_failures(void) {
  errno = 0;
  say("malloc", escape(malloc(too_much)));
  say("malloc of more", escape(malloc(too_much + one)));
  say("malloc of all", escape(malloc(SIZE_MAX - one + 1)));
  say("calloc", escape(calloc(too_much, one)));
  say("calloc overflow", escape(calloc(too_much, 3)));
  say("calloc overflow to little", escape(calloc(SIZE_MAX / 16 + one + 1, 16)));
  say("realloc", escape(realloc(NULL, too_much)));
  say("reallocarray overflow", escape(reallocarray(NULL, too_much, 3)));
  say("reallocarray overflow to nothing", escape(reallocarray(NULL, SIZE_MAX / 2 + one, 2)));
  say("valloc", escape(valloc(too_much)));
  say("pvalloc", escape(pvalloc(SIZE_MAX - one)));
}

int main(void) {
  void* (*const makers[])(void) = {no_bytes, no_count, no_size, null_to_nothing, null_to_no_array, array_of_nothing};
  const char* const names[] = {"no_bytes",        "no_count",         "no_size",
                               "null_to_nothing", "null_to_no_array", "array_of_nothing"};
  for (int maker = 0; maker < 6; ++maker) {
    unsigned long live = 0;
    size_t usable = 0;
    for (int i = 0; i < kBlocks; ++i) {
      void* block = makers[maker]();
      if (block != NULL) memset(block, 1, malloc_usable_size(block));
      usable += malloc_usable_size(block);
      if (i % 2 == 0) free(block);
      else live += block != NULL;
    }
    printf("%s: usable %zu, live %lu\n", names[maker], usable, live);
    // reallocarray to nothing frees the block that it made before; that block is of this function, too.
    if (maker == 5) truth_site(names[maker], kBlocks, 30 * kBlocks, 0, 0);
    else truth_site(names[maker], kBlocks, 0, live, 0);
  }
  say_failures();
  for (int i = 0; i < 1000; ++i) free(escape(NULL));
  printf("usable of null %zu\n", malloc_usable_size(escape(NULL)));
  unsigned long usable = 0;
  for (size_t bytes = 1; bytes <= 300; ++bytes) usable += malloc_usable_size(array(3, bytes));
  printf("usable of arrays %lu\n", usable);
  truth_site("array", 300, 3 * 300 * 301 / 2, 300, 3 * 300 * 301 / 2);
  return 0;
}
