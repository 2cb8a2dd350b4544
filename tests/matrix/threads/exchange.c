// SPDX-License-Identifier: Apache-2.0
//
// Four threads exchange blocks of 1.5 to 2.5 KB through a common table, in one arena: a block is nearly always freed,
// or moved, by another thread than made it, and its address is at once another block's.
//
// Expected: what is live at the end is what is in the table, to the byte; no free is missed, none is of an unknown
// block.
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "truth.h"

enum { kThreads = 4, kSlots = 512, kRounds = 60000 };

struct Block {
  size_t bytes;
  int moved;  // Who made it last: `move_between` or `make_between`.
};
static struct Block* _Atomic table[kSlots];

struct Count {
  unsigned long made, made_bytes, moved, moved_bytes;
};
static struct Count counts[kThreads];

__attribute__((noinline)) static void* make_between(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* move_between(void* block, size_t bytes) { return escape(realloc(block, bytes)); }

static size_t next_size(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return 1500 + (size_t)(*state >> 33) % 1001;
}

static struct Block* move_block(struct Block* block, size_t bytes, struct Count* count) {
  block = move_between(block, bytes);
  block->bytes = bytes;
  block->moved = 1;
  ++count->moved;
  count->moved_bytes += bytes;
  return block;
}

static void* exchange(void* argument) {
  struct Count* count = argument;
  uint64_t state = (uint64_t)(count - counts) + 1;
  for (int i = 0; i < kRounds; ++i) {
    const size_t bytes = next_size(&state);
    struct Block* block = make_between(bytes);
    *block = (struct Block){bytes, 0};
    ++count->made;
    count->made_bytes += bytes;
    struct Block* other = atomic_exchange(&table[state >> 40 & (kSlots - 1)], block);
    if (other != NULL && i % 8 == 0) {
      other = move_block(other, next_size(&state), count);
      other = atomic_exchange(&table[state >> 40 & (kSlots - 1)], other);
    }
    free(other);
  }
  return NULL;
}

int main(void) {
  mallopt(M_ARENA_MAX, 1);
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, exchange, &counts[i]) != 0) return 2;
  }
  struct Count sum = {0, 0, 0, 0};
  for (int i = 0; i < kThreads; ++i) {
    pthread_join(threads[i], NULL);
    sum.made += counts[i].made;
    sum.made_bytes += counts[i].made_bytes;
    sum.moved += counts[i].moved;
    sum.moved_bytes += counts[i].moved_bytes;
  }
  unsigned long live[2] = {0, 0}, live_bytes[2] = {0, 0};
  for (int i = 0; i < kSlots; ++i) {
    const struct Block* block = atomic_load(&table[i]);
    if (block == NULL) continue;
    ++live[block->moved];
    live_bytes[block->moved] += block->bytes;
  }
  printf("made %lu\n", sum.made);
  truth_site("make_between", sum.made, sum.made_bytes, live[0], live_bytes[0]);
  truth_site("move_between", sum.moved, sum.moved_bytes, live[1], live_bytes[1]);
  return 0;
}
