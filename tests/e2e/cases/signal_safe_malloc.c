// SPDX-License-Identifier: Apache-2.0
//
// An allocator that a signal handler may enter at any instant, glibc's may not: a pointer that only grows, and a free
// that gives nothing back. Each block has its size before it. For forks_in_handler, behind libseep.so.

#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { kAlignment = 16 };
static const size_t kHeapBytes = (size_t)1 << 36;  // Of address space; what is touched is taken.
static _Atomic(uintptr_t) next_byte;

static uintptr_t heap(void) {
  uintptr_t now = atomic_load(&next_byte);
  if (now != 0) return now;
  void* made = mmap(NULL, kHeapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) return 0;
  if (!atomic_compare_exchange_strong(&next_byte, &now, (uintptr_t)made)) munmap(made, kHeapBytes);
  return 1;
}

static void* take(size_t bytes, size_t alignment) {
  if (heap() == 0 || bytes > kHeapBytes / 2) {
    errno = ENOMEM;
    return NULL;
  }
  if (alignment < kAlignment) alignment = kAlignment;
  const size_t whole = (bytes + alignment + 2 * kAlignment - 1) & ~(size_t)(kAlignment - 1);
  const uintptr_t from = atomic_fetch_add(&next_byte, whole);
  const uintptr_t block = (from + kAlignment + alignment - 1) & ~(alignment - 1);
  ((size_t*)block)[-1] = bytes;
  return (void*)block;
}

void* malloc(size_t bytes) { return take(bytes, kAlignment); }
void free(void* block) { (void)block; }

void* calloc(size_t count, size_t bytes) {
  if (bytes != 0 && count > SIZE_MAX / bytes) {
    errno = ENOMEM;
    return NULL;
  }
  return take(count * bytes, kAlignment);  // Zeros: nothing is used twice.
}

void* realloc(void* block, size_t bytes) {
  void* bigger = take(bytes, kAlignment);
  if (block == NULL || bigger == NULL) return bigger;
  const size_t old = ((size_t*)block)[-1];
  return memcpy(bigger, block, old < bytes ? old : bytes);
}

void* memalign(size_t alignment, size_t bytes);
void* memalign(size_t alignment, size_t bytes) { return take(bytes, alignment); }
void* aligned_alloc(size_t alignment, size_t bytes) { return take(bytes, alignment); }

int posix_memalign(void** block, size_t alignment, size_t bytes) {
  *block = take(bytes, alignment);
  return *block == NULL ? ENOMEM : 0;
}

size_t malloc_usable_size(void* block);
size_t malloc_usable_size(void* block) { return block == NULL ? 0 : ((size_t*)block)[-1]; }
