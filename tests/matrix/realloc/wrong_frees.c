// SPDX-License-Identifier: Apache-2.0
//
// Frees blocks twice, and what never was a block (of the stack, of static memory, from within a block), over an
// allocator of the test's own that takes it (wrong_frees_library.c), so that the program goes on.
//
// Expected: it goes on as without seep; each of these frees is counted, with the stack that did it, and no right one.
#include "wrong_frees.h"

#include "truth.h"

enum { kBlocks = 20 };

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void free_again(void* block) {
  free(escape(block));
  __asm__ volatile("" : : : "memory");
}
__attribute__((noinline)) static void free_foreign(void* memory) {
  free(escape(memory));
  __asm__ volatile("" : : : "memory");
}
__attribute__((noinline)) static void* move_foreign(void* memory, size_t bytes) {
  return escape(realloc(memory, bytes));
}

int main(void) {
  static char static_memory[64] __attribute__((aligned(16)));
  char on_stack[64] __attribute__((aligned(16)));
  for (int i = 0; i < kBlocks; ++i) {
    char* block = make(500);
    if (i % 2 == 0) {
      free(block);
      free_again(block);
    } else {
      free_foreign(block + 16);
      free_foreign(static_memory + 16);
      free_foreign(on_stack + 16);
    }
  }
  memcpy(static_memory + 16, "as it was", 10);
  const char* moved = move_foreign(static_memory + 16, 700);
  printf("still here, %s\n", moved);
  printf("allocator: %lu taken, %lu frees\n", taken_blocks, freed_blocks);
  truth_site("make", kBlocks, 500 * kBlocks, kBlocks / 2, 500 * kBlocks / 2);
  truth_site("move_foreign", 1, 700, 1, 700);
  return 0;
}
