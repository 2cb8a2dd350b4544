// SPDX-License-Identifier: Apache-2.0
//
// An allocator that takes any free: a pointer that only grows, over static memory, and a free that gives nothing back.
// What it is to move and did not make it takes for 32 bytes. Runs in the program under test, on one thread.
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wrong_frees.h"

enum { kHeapBytes = 8 << 20, kHeaderBytes = 16, kForeignBytes = 32 };
static char heap[kHeapBytes] __attribute__((aligned(4096)));
static size_t used;
unsigned long taken_blocks, freed_blocks;

static void* take(size_t alignment, size_t bytes) {
  if (alignment < kHeaderBytes) alignment = kHeaderBytes;
  const size_t start = (used + kHeaderBytes + alignment - 1) / alignment * alignment;
  if (bytes > kHeapBytes || start + bytes > kHeapBytes) {
    errno = ENOMEM;
    return NULL;
  }
  used = start + bytes;
  ++taken_blocks;
  memcpy(heap + start - kHeaderBytes, &bytes, sizeof bytes);
  return heap + start;
}

static size_t bytes_of(const void* block) {
  size_t bytes = kForeignBytes;
  const uintptr_t at = (uintptr_t)block;
  if (at >= (uintptr_t)heap && at < (uintptr_t)heap + kHeapBytes)
    memcpy(&bytes, (const char*)block - kHeaderBytes, sizeof bytes);
  return bytes;
}

void* malloc(size_t bytes) { return take(kHeaderBytes, bytes); }
void free(void* block) { freed_blocks += block != NULL; }
void* calloc(size_t count, size_t bytes) {
  size_t all;
  if (__builtin_mul_overflow(count, bytes, &all)) {
    errno = ENOMEM;
    return NULL;
  }
  return take(kHeaderBytes, all);  // Zeros: nothing is used twice.
}
void* realloc(void* block, size_t bytes) {
  void* moved = take(kHeaderBytes, bytes);
  if (moved == NULL || block == NULL) return moved;
  const size_t old = bytes_of(block);
  return memcpy(moved, block, old < bytes ? old : bytes);
}
void* memalign(size_t alignment, size_t bytes);
void* memalign(size_t alignment, size_t bytes) { return take(alignment, bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) { return take(alignment, bytes); }
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  void* made = take(alignment, bytes);
  if (made == NULL) return ENOMEM;
  *block = made;
  return 0;
}
size_t malloc_usable_size(void* block);
size_t malloc_usable_size(void* block) { return block == NULL ? 0 : bytes_of(block); }
