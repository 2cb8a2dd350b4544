// SPDX-License-Identifier: Apache-2.0
//
// Asks the allocator about itself after a fixed course of allocations, sets its options and trims it: mallinfo2,
// mallopt, malloc_trim, malloc_info; and looks how far its blocks lie apart.
//
// Expected: glibc's heap is to the byte what it is without seep, which takes none of it.
#include <malloc.h>
#include <stdint.h>

#include "truth.h"

enum { kBlocks = 2000 };
static char* blocks[kBlocks];

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }

static void say_heap(const char* when) {
  const struct mallinfo2 info = mallinfo2();
  printf("%s: arena %zu, chunks %zu, fast %zu, mapped %zu in %zu, used %zu, free %zu, top %zu\n", when, info.arena,
         info.ordblks, info.smblks, info.hblkhd, info.hblks, info.uordblks, info.fordblks, info.keepcost);
}

int main(void) {
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  say_heap("first");
  printf("mallopt %d %d %d\n", mallopt(M_MMAP_THRESHOLD, 64 << 10), mallopt(M_TRIM_THRESHOLD, 256 << 10),
         mallopt(M_ARENA_MAX, 1));
  unsigned long bytes = 0, live = 0, live_bytes = 0;
  for (int i = 0; i < kBlocks; ++i) {
    const size_t wanted = i % 100 == 0 ? 100000 : (size_t)(i * 7 % 900 + 1);
    blocks[i] = make(wanted);
    bytes += wanted;
    if (i % 3 == 0) continue;
    ++live;
    live_bytes += wanted;
  }
  uint64_t distances = 0;
  for (int i = 1; i < kBlocks; ++i) {
    if (i % 100 > 1) distances = distances * 31 + (uint64_t)(blocks[i] - blocks[i - 1]);
  }
  printf("distances %llx\n", (unsigned long long)distances);
  say_heap("full");
  for (int i = 0; i < kBlocks; i += 3) free(blocks[i]);
  say_heap("then");
  printf("trim %d\n", malloc_trim(0));
  say_heap("trimmed");
  printf("info %d\n", malloc_info(0, stdout));
  truth_site("make", kBlocks, bytes, live, live_bytes);
  return 0;
}
