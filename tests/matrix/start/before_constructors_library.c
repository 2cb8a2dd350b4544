// SPDX-License-Identifier: Apache-2.0
//
// The library of before_constructors: allocates in its constructor. Runs in the program under test, before its main.
#include "before_constructors.h"
#include "truth.h"

void* of_library[kLibraryBlocks];
int library_constructed;

__attribute__((noinline)) static void* make_in_library(size_t bytes) { return escape(malloc(bytes)); }

__attribute__((constructor)) static void construct(void) {
  for (int i = 0; i < kLibraryBlocks; ++i) of_library[i] = make_in_library(300);
  library_constructed = 1;
}
