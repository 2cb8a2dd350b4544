// SPDX-License-Identifier: Apache-2.0
//
// Sixteen threads that allocate, reallocate (small, and so large that the kernel moves pages), free, and pass blocks on
// through slots on each other's stacks, while the scan is done. Blocks hold each other, so that many have no pointer
// but one in a block that is being moved. Argument: how often all threads together pass a block on before the end.
//
// Expected: seven leaked blocks, of which each holds one more, every time; whatever else is live is reachable. Of
// Valgrind, which ends all threads but one before it looks, nothing is said of the rest.
#include "threads.h"

enum { kThreads = 16, kSlots = 8, kLeaks = 7 };

struct item {
  struct item* inner;
  size_t bytes;
};
typedef struct item* _Atomic slot;

static slot* _Atomic slots_of[kThreads];
static atomic_long passed;
static atomic_int next_number;

SITE static struct item* fresh(size_t bytes) {
  struct item* made = blank(bytes);
  made->inner = NULL;
  made->bytes = bytes;
  return made;
}
SITE static struct item* inside(size_t bytes) { return blank(bytes); }
SITE static struct item* resized(struct item* item, size_t bytes) {
  struct item* moved = escape(realloc(item, bytes));
  moved->bytes = bytes;
  return moved;
}
static void drop(struct item* item) {
  if (item == NULL) return;
  free(item->inner);
  free(item);
}

static void* passes(void* unused) {
  slot slots[kSlots];
  for (int i = 0; i < kSlots; ++i) atomic_init(&slots[i], NULL);
  const int number = atomic_fetch_add(&next_number, 1);
  atomic_store(&slots_of[number], slots);
  uint64_t random = 88172645463325252u + (uint64_t)number * 7919;
  atomic_fetch_add(&threads_there, 1);
  for (;;) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    slot* others = atomic_load(&slots_of[random % kThreads]);
    if (others == NULL) continue;
    slot* place = &others[(random >> 8) % kSlots];
    struct item* volatile item = atomic_exchange(place, NULL);
    if (item == NULL) {
      item = fresh(64 + (random >> 16) % 500);
      item->inner = inside(32 + (random >> 16) % 100);
    } else if ((random >> 32) % 16 == 0) {
      drop(item);
      item = NULL;
    } else {
      const int large = (random >> 32) % 512 == 1;
      item = resized(item, large ? (size_t)(200 << 10) + (random >> 40) % (100 << 10) : 64 + (random >> 40) % 2000);
    }
    drop(atomic_exchange(place, item));
    atomic_fetch_add(&passed, 1);
  }
  return unused;
}

SITE static struct item* leaked(void) { return blank(100); }
SITE static struct item* inside_leaked(void) { return blank(48); }
__attribute__((noinline)) static void leak(void) {
  for (int i = 0; i < kLeaks; ++i) leaked()->inner = inside_leaked();
}

int main(int argc, char** argv) {
  const long enough = argc > 1 ? atol(argv[1]) : 100000;
  leak();
  for (int i = 0; i < kThreads; ++i) begin(passes);
  wait_for_threads(kThreads);
  while (atomic_load(&passed) < enough) sched_yield();
  tell("leaked", "definite", kLeaks, kLeaks * 100);
  tell("inside_leaked", "indirect", kLeaks, kLeaks * 48);
  tell_alive("fresh");
  tell_alive("inside");
  tell_alive("resized");
  last_words();
  return 0;
}
