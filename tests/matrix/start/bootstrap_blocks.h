// SPDX-License-Identifier: Apache-2.0
//
// Between bootstrap_blocks and its library with a dlsym of its own. Runs in the program under test.
#pragma once

#include <stddef.h>

enum { kWaysToAllocate = 6 };

// A block that dlsym allocated: `bytes` of `filling`.
struct Block {
  void* start;
  size_t bytes, alignment;
  unsigned char filling;
};

// All of them so far; the number of them is returned.
extern int blocks_made_by_dlsym(struct Block** blocks);
