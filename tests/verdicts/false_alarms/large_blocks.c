// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands far inside a block of another kind: one that has a mapping of its own, one that is
// nearly all untouched, aligned ones, one that was grown until it moved, and one that was shrunk, whose rest held
// another pointer.
//
// Expected: all reachable, but what only the rest that was cut off pointed to: definite.
#include <malloc.h>

#include "told.h"

enum { kHuge = 3 << 20, kSparse = 256 << 20 };
static void* kept[16];
static int kept_count;

// From their last word, or wherever `place` is.
#define FROM(name, bytes) \
  SITE static void name(void* block, size_t place) { *(void**)((char*)block + place) = blank(bytes); }
FROM(from_huge, 24)
FROM(from_sparse, 40)
FROM(from_aligned, 56)
FROM(from_grown, 72)
FROM(from_shrunk, 88)
FROM(from_cut_off, 104)

SITE static void* huge(void) { return blank(kHuge); }
SITE static void* sparse(void) { return escape(malloc(kSparse)); }
SITE static void* aligned_each_way(int way) {
  void* block = NULL;
  if (way == 0) block = memalign(4096, 1000);
  if (way == 1) block = valloc(1000);
  if (way == 2) block = aligned_alloc(64, 1024);
  if (way == 3) must(posix_memalign(&block, 65536, 1000) == 0, "posix_memalign");
  return escape(block);
}
SITE static void* to_grow(void) { return blank(1000); }
SITE static void* grow(void* block, size_t bytes) { return escape(realloc(block, bytes)); }
SITE static void* barrier(void) { return blank(64); }

static void* keep(void* block) {
  must(block != NULL, "a block");
  kept[kept_count++] = block;
  return block;
}

__attribute__((noinline)) static void fill(void) {
  from_huge(keep(huge()), kHuge - sizeof(void*));
  from_sparse(keep(sparse()), kSparse / 2);
  for (int way = 0; way < 4; ++way) from_aligned(keep(aligned_each_way(way)), 992);
  void* block = to_grow();
  keep(barrier());
  from_grown(block, 992);
  block = grow(block, 100000);
  from_grown(block, 99000);
  block = grow(block, 1000000);
  from_grown(block, 999992);
  keep(grow(block, 5000000));
  block = to_grow();
  from_shrunk(block, 0);
  from_cut_off(block, 992);
  keep(grow(block, 100));
}

int main(void) {
  fill();
  escape(kept);
  tell("huge", "reachable", 1, kHuge);
  tell("from_huge", "reachable", 1, 24);
  tell("sparse", "reachable", 1, kSparse);
  tell("from_sparse", "reachable", 1, 40);
  tell("aligned_each_way", "reachable", 4, 3000 + 1024);
  tell("from_aligned", "reachable", 4, 4 * 56);
  tell("barrier", "reachable", 1, 64);
  tell("grow", "reachable", 2, 5000000 + 100);
  tell("from_grown", "reachable", 3, 3 * 72);
  tell("from_shrunk", "reachable", 1, 88);
  tell("from_cut_off", "definite", 1, 104);
  last_words();
  return 0;
}
