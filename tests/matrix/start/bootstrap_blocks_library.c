// SPDX-License-Identifier: Apache-2.0
//
// The library of bootstrap_blocks: a dlsym that allocates before it looks up. It ends in a jump to glibc's, so that
// RTLD_NEXT means the caller's next. Runs in the program under test.
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>

#include "bootstrap_blocks.h"
#include "truth.h"

enum { kMost = 600 };
static struct Block blocks[kMost];
static int count;

static void* allocate(int way, size_t bytes, size_t* alignment) {
  void* block = NULL;
  *alignment = 16;
  switch (way) {
    case 0: return malloc(bytes);
    case 1: return calloc(bytes / 8, 8);
    case 2: return realloc(NULL, bytes);
    case 3: *alignment = 64; return memalign(64, bytes);
    case 4: *alignment = 256; return posix_memalign(&block, 256, bytes) == 0 ? block : NULL;
    default: return realloc(malloc(bytes / 2), bytes);
  }
}

typedef void* (*LookUp)(void*, const char*);

static void allocate_some(void) {
  for (int way = 0; way < kWaysToAllocate && count < kMost; ++way) {
    const int number = count++;  // Taken before: the first malloc may look itself up, by this dlsym.
    struct Block* block = &blocks[number];
    block->bytes = 8 * (size_t)(5 + number % 11);
    block->filling = (unsigned char)(number + 1);
    block->start = allocate(way, block->bytes, &block->alignment);
    if (block->start == NULL) abort();
    memset(block->start, block->filling, block->bytes);
    free(escape(malloc(33)));
  }
}

__attribute__((optimize("optimize-sibling-calls"))) void* dlsym(void* handle, const char* symbol) {
  static LookUp next;
  if (next == NULL) *(void**)&next = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
  allocate_some();
  return next(handle, symbol);
}

int blocks_made_by_dlsym(struct Block** made) {
  *made = blocks;
  return count;
}
