// SPDX-License-Identifier: Apache-2.0
//
// Brings an allocator of its own, which the loader finds before any preloaded one. Expected: it runs as ever, and is
// reported as not observed.

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static _Alignas(16) char arena[1 << 20];
static size_t used_bytes;

void* malloc(size_t size_bytes) {
  size_t rounded = (size_bytes + 31) & ~(size_t)15;
  if (rounded > sizeof arena - used_bytes) {
    errno = ENOMEM;
    return NULL;
  }
  void* block = arena + used_bytes + 16;
  memcpy(arena + used_bytes, &size_bytes, sizeof size_bytes);
  used_bytes += rounded + 16;
  return block;
}

void free(void* block) { (void)block; }

void* calloc(size_t count, size_t size_bytes) { return malloc(count * size_bytes); }

void* realloc(void* block, size_t size_bytes) {
  void* moved = malloc(size_bytes);
  if (block != NULL && moved != NULL) {
    size_t old_bytes;
    memcpy(&old_bytes, (char*)block - 16, sizeof old_bytes);
    memcpy(moved, block, old_bytes < size_bytes ? old_bytes : size_bytes);
  }
  return moved;
}

void* volatile escaped;

int main(void) {
  for (int i = 0; i < 100; ++i) escaped = malloc(50);
  puts("own malloc");
  return 0;
}
