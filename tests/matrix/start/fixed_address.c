// SPDX-License-Identifier: Apache-2.0
//
// A program at a fixed address (not position-independent) that takes the addresses of malloc and free: to the loader
// these are stubs in the program then, for everybody who asks, and no malloc of the program's own.
//
// Expected: recorded as any other.
#include <dlfcn.h>

#include "truth.h"

typedef void* (*Malloc)(size_t);
typedef void (*Free)(void*);
static volatile Malloc allocate = malloc;
static volatile Free release = free;

__attribute__((noinline)) static void* make_by_address(size_t bytes) { return escape(allocate(bytes)); }
__attribute__((noinline)) static void* make_by_name(size_t bytes) { return escape(malloc(bytes)); }

int main(void) {
  enum { kBlocks = 50 };
  void* blocks[2 * kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    blocks[2 * i] = make_by_address(3000);
    blocks[2 * i + 1] = make_by_name(2000);
  }
  for (int i = 0; i < kBlocks; ++i) i % 2 ? release(blocks[i]) : free(blocks[i]);
  printf("the same to all: %d\n", dlsym(RTLD_DEFAULT, "malloc") == *(void* volatile*)&allocate);
  truth_site("make_by_address", kBlocks, 3000 * kBlocks, kBlocks / 2, 3000 * kBlocks / 2);
  truth_site("make_by_name", kBlocks, 2000 * kBlocks, kBlocks / 2, 2000 * kBlocks / 2);
  return 0;
}
