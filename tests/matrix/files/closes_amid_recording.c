// SPDX-License-Identifier: Apache-2.0
//
// One thread closes every descriptor again and again and uses the numbers for files of its own, which it writes and
// reads back; three others start threads that allocate (so that their stacks are looked for), while snapshots are
// written.
//
// Expected: every open gives the lowest number, as nobody else has any, and every file holds what was written to it and
// nothing more.
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "truth.h"

enum { kRounds = 3000, kFiles = 4, kThreads = 2, kBlocks = 20, kBytes = 2500 };

static atomic_int done;
static atomic_ulong allocated;

__attribute__((noinline)) static void* allocates_amid(void) { return escape(malloc(kBytes)); }

static void* allocate_some(void* argument) {
  for (int i = 0; i < kBlocks; ++i) {
    free(allocates_amid());
    atomic_fetch_add(&allocated, 1);
  }
  return argument;
}

static void* start_threads(void* argument) {
  while (!atomic_load(&done)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, allocate_some, NULL) != 0) abort();
    pthread_join(thread, NULL);
  }
  return argument;
}

int main(void) {
  static const char kText[] = "what the program wrote\n";
  unsigned long other_number = 0, other_bytes = 0, failed = 0;
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, start_threads, NULL);
  for (int round = 0; round < kRounds; ++round) {
    int files[kFiles];
    close_range(3, ~0u, 0);
    for (int i = 0; i < kFiles; ++i) {
      files[i] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
      other_number += files[i] != 3 + i;
      failed += write(files[i], kText, sizeof kText) != (ssize_t)sizeof kText;
    }
    for (int i = 0; i < kFiles; ++i) {
      char text[4 * sizeof kText];
      const ssize_t got = pread(files[i], text, sizeof text, 0);
      other_bytes += got != (ssize_t)sizeof kText || memcmp(text, kText, sizeof kText) != 0 ||
                     lseek(files[i], 0, SEEK_CUR) != (off_t)sizeof kText;
    }
  }
  atomic_store(&done, 1);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  printf("other numbers: %s, other bytes: %lu, failed: %lu\n", other_number == 0 ? "0" : "some", other_bytes, failed);
  const unsigned long blocks = atomic_load(&allocated);
  truth_site("allocates_amid", blocks, blocks * kBytes, 0, 0);
  return 0;
}
