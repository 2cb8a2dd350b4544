// SPDX-License-Identifier: Apache-2.0
//
// realloc of every kind: from null, growing in place, moving, shrinking, failing (the block stays as it was, errno is
// ENOMEM), to nothing (the block is gone), and reallocarray with an overflow (the block stays).
//
// Expected: each outcome is printed and the same with and without seep. What is live at the end is live in the function
// that asked for its last size, but for the blocks whose realloc failed, which keep the function that made them, and
// can be freed.
#include <stdint.h>

#include "truth.h"

static size_t too_much(void) { return (size_t)escape((void*)(uintptr_t)(PTRDIFF_MAX - 64)); }

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }

__attribute__((noinline)) static void* from_null(size_t bytes) { return escape(realloc(NULL, bytes)); }

__attribute__((noinline)) static void* grow(void* block, size_t bytes) { return escape(realloc(block, bytes)); }

static void say_failure(const char* what, const void* result) {
  printf("%s: %s, errno %d\n", what, result == NULL ? "null" : "a block", errno);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  // Grows in steps, in place or not, and shrinks: one block at the end.
  char* grown = from_null(10);
  unsigned long grow_blocks = 0, grow_bytes = 0;
  for (size_t bytes = 20; bytes <= 5120; bytes *= 2, ++grow_blocks) {
    grown = grow(grown, bytes);
    grow_bytes += bytes;
    grown[bytes - 1] = 1;
  }
  grown = grow(grown, 100);
  truth_site("grow", grow_blocks + 1, grow_bytes + 100, 1, 100);
  truth_site("from_null", 1, 10, 0, 0);

  void* kept = make(300);
  errno = 0;
  say_failure("too much", escape(realloc(kept, too_much())));
  errno = 0;
  say_failure("overflow", escape(reallocarray(kept, too_much(), 3)));
  void* freed_later = make(500);
  errno = 0;
  say_failure("too much again", escape(realloc(freed_later, too_much())));
  free(freed_later);
  void* gone = make(400);
  errno = 0;
  say_failure("to nothing", escape(realloc(gone, 0)));
  truth_site("make", 3, 1200, 1, 300);
  return escape(kept) != NULL && escape(grown) != NULL ? 0 : 1;
}
