// SPDX-License-Identifier: Apache-2.0
//
// A library replaces dlsym by one that allocates at each call, in every way there is, as wrappers of graphics libraries
// do and as glibc's own did before 2.34. So blocks exist that were allocated while malloc itself was being looked up,
// where an interposer has no allocator yet. Then they are used like any other: measured, written to, moved, shrunk,
// freed, and moved to nothing.
//
// Expected: each block holds what was written to it, in each way, and what main moved is counted in main.
#include "bootstrap_blocks.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>

#include "truth.h"

__attribute__((noinline)) static void* move_in_main(void* block, size_t bytes) { return escape(realloc(block, bytes)); }

static int holds(const struct Block* block) {
  for (size_t i = 0; i < block->bytes; ++i) {
    if (((unsigned char*)block->start)[i] != block->filling) return 0;
  }
  return 1;
}

// One block in its turn: what is done with it, and whether all was well.
static int use(struct Block* block, int turn, unsigned long* moved_bytes, unsigned long* moved_blocks) {
  if (!holds(block) || malloc_usable_size(block->start) < block->bytes) return 0;
  if ((uintptr_t)block->start % block->alignment != 0) return 0;
  size_t bytes = block->bytes;
  switch (turn % 4) {
    case 0: free(block->start); return 1;
    case 1: bytes *= 50; break;
    case 2: bytes = 1; break;
    case 3: return move_in_main(block->start, 0) == NULL;
  }
  unsigned char* moved = move_in_main(block->start, bytes);
  *moved_bytes += bytes;
  ++*moved_blocks;
  return moved != NULL && *moved == block->filling && malloc_usable_size(moved) >= bytes;
}

int main(void) {
  // Own look-ups, too: the program gets what it would get.
  const int found = dlsym(RTLD_DEFAULT, "malloc") != NULL && dlsym(RTLD_DEFAULT, "surely_not_there") == NULL;
  struct Block* blocks;
  const int count = blocks_made_by_dlsym(&blocks);
  unsigned long moved_bytes = 0, moved_blocks = 0;
  int good = 0;
  for (int i = 0; i < count; ++i) good += use(&blocks[i], i / kWaysToAllocate, &moved_bytes, &moved_blocks);
  printf("found %d, all good %d\n", found, good == count);
  if (good != count) printf("%d of %d\n", good, count);
  truth_site("move_in_main", moved_blocks, moved_bytes, moved_blocks, moved_bytes);
  return 0;
}
