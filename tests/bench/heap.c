// SPDX-License-Identifier: Apache-2.0
//
// What a heap takes of memory: lays it, prints the bytes that the process then has resident, and ends at once.
//   heap blocks COUNT LEAST MOST     so many blocks of LEAST to MOST bytes, at random, all from one place
//   heap bytes COUNT LEAST MOST      the same until their sizes sum up to so many bytes
//   heap threads COUNT               one block in each of so many threads, all of which then stand still
// Each block is filled, and hangs in a list.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random_number.h"

struct block {
  struct block* next;
};

static struct block* first;

static void lay_heap(uint64_t blocks, uint64_t bytes, size_t least, size_t most) {
  for (uint64_t made_blocks = 0, made_bytes = 0; made_blocks < blocks && made_bytes < bytes; ++made_blocks) {
    const size_t size = least + random_number() % (most - least + 1);
    struct block* block = malloc(size);
    if (block == NULL) abort();
    memset(block, 'a', size);
    block->next = first;
    first = block;
    made_bytes += size;
  }
}

// ---- Threads.

static pthread_barrier_t all_have_allocated;

static void* allocate_once(void* unused) {
  void* volatile block = malloc(100);
  pthread_barrier_wait(&all_have_allocated);
  for (;;) pause();
  (void)block;
  return unused;
}

static int begin_threads(unsigned count) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  if (pthread_barrier_init(&all_have_allocated, NULL, count + 1) != 0) return 1;
  for (unsigned i = 0; i < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, allocate_once, NULL) != 0) return 1;
  }
  pthread_barrier_wait(&all_have_allocated);
  return 0;
}

static long long resident_bytes(void) {
  long long all_pages = 0, resident_pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lld %lld", &all_pages, &resident_pages) != 2) abort();
  fclose(file);
  return resident_pages * sysconf(_SC_PAGESIZE);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const uint64_t count = strtoull(argv[2], NULL, 10);
  if (strcmp(argv[1], "threads") == 0) {
    if (begin_threads((unsigned)count) != 0) return 1;
  } else {
    if (argc != 5) return 2;
    const int counts_bytes = strcmp(argv[1], "bytes") == 0;
    lay_heap(counts_bytes ? UINT64_MAX : count, counts_bytes ? count : UINT64_MAX, strtoull(argv[3], NULL, 10),
             strtoull(argv[4], NULL, 10));
  }
  printf("%lld\n", resident_bytes());
  fflush(stdout);
  _exit(0);
}
