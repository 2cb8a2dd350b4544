// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands in memory that a forked child does not get (MADV_DONTFORK) or gets empty
// (MADV_WIPEONFORK): of mappings, and of large blocks.
//
// Expected: reachable, also where the scan is done in a copy of the process. And a block in such memory to which
// nothing points is definite, as are those that hang from it indirect.
#include <sys/mman.h>

#include "told.h"

enum { kBytes = 1 << 20, kPage = 4096 };
static void* kept[2];

SITE static void from_no_fork(void** memory) { memory[777] = blank(24); }
SITE static void from_wiped(void** memory) { memory[777] = blank(40); }
SITE static void** large(void) { return blank(kBytes); }
SITE static void** lost_large(void) { return blank(kBytes); }
SITE static void from_large(void** memory) { memory[20000] = blank(56); }
SITE static void from_lost_large(void** memory) { memory[20000] = blank(72); }

static void** map(void) {
  void* memory = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(memory != MAP_FAILED, "mmap");
  return memory;
}
// All whole pages of a block.
static void advise(void* block, int advice) {
  const uintptr_t start = ((uintptr_t)block + kPage - 1) / kPage * kPage;
  must(madvise((void*)start, kBytes - kPage, advice) == 0, "madvise");
}

__attribute__((noinline)) static void fill(void) {
  static const int advices[] = {MADV_DONTFORK, MADV_WIPEONFORK};
  for (int i = 0; i < 2; ++i) {
    void** mapping = map();
    (i == 0 ? from_no_fork : from_wiped)(mapping);
    must(madvise(mapping, kBytes, advices[i]) == 0, "madvise");
    void** block = large();
    from_large(block);
    advise(block, advices[i]);
    kept[i] = block;
    block = lost_large();
    from_lost_large(block);
    advise(block, advices[i]);
  }
  escape(kept);
}

int main(void) {
  fill();
  tell("from_no_fork", "reachable", 1, 24);
  tell("from_wiped", "reachable", 1, 40);
  tell("large", "reachable", 2, 2 * kBytes);
  tell("from_large", "reachable", 2, 2 * 56);
  tell("lost_large", "definite", 2, 2 * kBytes);
  tell("from_lost_large", "indirect", 2, 2 * 72);
  last_words();
  return 0;
}
