// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands in memory that was freed: in each of the lists that glibc keeps of such (a thread's
// cache, fast, small and large chunks), in pages that have no live block left, in a mapping that is gone, at the top of
// the heap, and in the heap of another thread.
//
// Expected: all definite; the live blocks between the freed ones are reachable.
#include <pthread.h>

#include "told.h"

enum { kHolders = 40, kSizes = 6 };

static const size_t sizes[kSizes] = {64, 112, 700, 5000, 60000, 300000};
static void* live_between[2][kSizes][kHolders];

SITE static void* between(void) { return blank(40); }
SITE static void* from_mixed(void) { return blank(48); }
SITE static void* from_empty_pages(void) { return blank(56); }
SITE static void** holder(size_t bytes) { return blank(bytes); }

// The pointer stands where no list of the allocator's is written, in the middle and at the end.
static void hold(void** block, size_t bytes, void* pointer) {
  block[bytes / 16] = pointer;
  block[bytes / 8 - 1] = pointer;
}

// Freed blocks between live ones.
__attribute__((noinline)) static void leave_in_mixed(size_t bytes, void** live) {
  void** holders[kHolders];
  for (int i = 0; i < kHolders; ++i) {
    holders[i] = holder(bytes);
    live[i] = between();
    hold(holders[i], bytes, from_mixed());
  }
  for (int i = 0; i < kHolders; ++i) free(holders[i]);
}

// Freed blocks side by side.
__attribute__((noinline)) static void leave_in_empty_pages(size_t bytes) {
  void** holders[kHolders];
  void* leaked[kHolders];
  for (int i = 0; i < kHolders; ++i) leaked[i] = from_empty_pages();
  for (int i = 0; i < kHolders; ++i) {
    holders[i] = holder(bytes);
    hold(holders[i], bytes, leaked[i]);
  }
  for (int i = 0; i < kHolders; ++i) free(holders[i]);
}

static void* fill(void* live) {
  for (int i = 0; i < kSizes; ++i) leave_in_mixed(sizes[i], ((void*(*)[kHolders])live)[i]);
  for (int i = 0; i < kSizes; ++i) leave_in_empty_pages(sizes[i]);
  forget();
  return NULL;
}

int main(void) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, fill, live_between[1]) == 0 && pthread_join(thread, NULL) == 0, "a thread");
  fill(live_between[0]);
  escape(live_between);
  const unsigned long blocks = 2 * kSizes * kHolders;
  tell("between", "reachable", blocks, blocks * 40);
  tell("from_mixed", "definite", blocks, blocks * 48);
  tell("from_empty_pages", "definite", blocks, blocks * 56);
  last_words();
  return 0;
}
