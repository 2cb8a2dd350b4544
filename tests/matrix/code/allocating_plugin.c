// SPDX-License-Identifier: Apache-2.0
//
// A library that comes and goes (reused_base.c, unloads_amid_walks.c): it allocates below a frame of FRAME_BYTES, in a
// function named ALLOCATES. Built twice, with another frame each, so that what is known of the one's code is wrong of
// the other's, which lies at the same addresses.
#include <stdlib.h>

#include "truth.h"

#define NAME_AGAIN(name) name
#define FUNCTION NAME_AGAIN(ALLOCATES)

__attribute__((noinline)) static void* FUNCTION(size_t bytes) {
  volatile char frame[FRAME_BYTES];
  frame[0] = 1;
  void* block = escape(malloc(bytes));
  frame[FRAME_BYTES - 1] = frame[0];
  return block;
}

void* allocate(size_t bytes) { return escape(FUNCTION(bytes)); }
