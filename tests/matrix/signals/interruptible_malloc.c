// SPDX-License-Identifier: Apache-2.0
//
// The allocator of interruptible_malloc.h. Blocks of a power of two, each behind 16 bytes of its own that say which; a
// free one is in its size's list. A list is changed by one compare-and-swap of its head, which has a count beside the
// index of the first block: so whoever is interrupted and never comes back costs one block at most. Larger blocks are
// taken from the untouched rest and never used again.
// Runs in the programs of this group: any thread, any handler. No lock, nothing thread-local but errno.
#include "interruptible_malloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum { kUnit = 16, kFirstListLog2 = 5, kLists = 12 };
static const size_t kHeapBytes = (size_t)1 << 35;  // Of address space; its units have indexes of 32 bits.

typedef struct {
  uint32_t list;  // kLists: none.
  _Atomic(uint32_t) next;
  uint64_t bytes;
} Header;
_Static_assert(sizeof(Header) == kUnit, "one unit");

void (*interruptible_callback)(void);
size_t interruptible_callback_bytes;

static _Atomic(uintptr_t) heap_start;
static _Atomic(uint64_t) used_units = 1;     // Index 0 is no block.
static _Atomic(uint64_t) free_list[kLists];  // A count in the upper half, the first block's index in the lower.

static uintptr_t heap(void) {
  uintptr_t start = atomic_load(&heap_start);
  if (start != 0) return start;
  void* made = mmap(NULL, kHeapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED) return 0;
  if (atomic_compare_exchange_strong(&heap_start, &start, (uintptr_t)made)) return (uintptr_t)made;
  munmap(made, kHeapBytes);
  return start;
}

static Header* header_at(uint32_t index) { return (Header*)(heap() + (uintptr_t)index * kUnit); }
static uint32_t index_of(const Header* header) { return (uint32_t)(((uintptr_t)header - heap()) / kUnit); }

static Header* pop(uint32_t list) {
  uint64_t head = atomic_load(&free_list[list]);
  for (;;) {
    const uint32_t first = (uint32_t)head;
    if (first == 0) return NULL;
    const uint64_t next = ((head >> 32) + 1) << 32 | atomic_load(&header_at(first)->next);
    if (atomic_compare_exchange_weak(&free_list[list], &head, next)) return header_at(first);
  }
}

static void push(Header* header) {
  uint64_t head = atomic_load(&free_list[header->list]);
  do {
    atomic_store(&header->next, (uint32_t)head);
  } while (!atomic_compare_exchange_weak(&free_list[header->list], &head, ((head >> 32) + 1) << 32 | index_of(header)));
}

static Header* take_new(size_t bytes) {
  const uint64_t units = (bytes + kUnit - 1) / kUnit;
  const uint64_t index = atomic_fetch_add(&used_units, units);
  return index + units > kHeapBytes / kUnit ? NULL : header_at((uint32_t)index);
}

static uint32_t list_for(size_t bytes) {
  uint32_t list = 0;
  while (list < kLists && ((size_t)1 << (kFirstListLog2 + list)) < bytes) ++list;
  return list;
}

static void* take(size_t bytes) {
  if (interruptible_callback != NULL && bytes == interruptible_callback_bytes) interruptible_callback();
  if (heap() == 0 || bytes > kHeapBytes / 2) {
    errno = ENOMEM;
    return NULL;
  }
  const uint32_t list = list_for(bytes + kUnit);
  Header* header = list < kLists ? pop(list) : NULL;
  if (header == NULL) header = take_new(list < kLists ? (size_t)1 << (kFirstListLog2 + list) : bytes + kUnit);
  if (header == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  header->list = list;
  header->bytes = bytes;
  return header + 1;
}

void* malloc(size_t bytes) { return take(bytes); }

void free(void* block) {
  if (block == NULL) return;
  Header* header = (Header*)block - 1;
  if (header->list < kLists) push(header);
}

void* calloc(size_t count, size_t bytes) {
  if (bytes != 0 && count > SIZE_MAX / bytes) {
    errno = ENOMEM;
    return NULL;
  }
  void* block = take(count * bytes);
  return block == NULL ? NULL : memset(block, 0, count * bytes);
}

void* realloc(void* block, size_t bytes) {
  void* moved = take(bytes);
  if (block == NULL || moved == NULL) return moved;
  const size_t old = ((Header*)block - 1)->bytes;
  memcpy(moved, block, old < bytes ? old : bytes);
  free(block);
  return moved;
}

// Aligned blocks are not given back: the header before them says so.
void* memalign(size_t alignment, size_t bytes);
void* memalign(size_t alignment, size_t bytes) {
  if (alignment <= kUnit) return take(bytes);
  char* start = bytes > kHeapBytes / 4 ? NULL : take(bytes + alignment + kUnit);
  if (start == NULL) return NULL;
  Header* header = (Header*)(((uintptr_t)start + kUnit + alignment - 1) & ~(alignment - 1)) - 1;
  header->list = kLists;
  header->bytes = bytes;
  return header + 1;
}
void* aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void** block, size_t alignment, size_t bytes) {
  void* made = memalign(alignment, bytes);
  if (made == NULL) return ENOMEM;
  *block = made;
  return 0;
}

size_t malloc_usable_size(void* block);
size_t malloc_usable_size(void* block) { return block == NULL ? 0 : ((Header*)block - 1)->bytes; }
