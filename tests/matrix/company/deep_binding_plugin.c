// SPDX-License-Identifier: Apache-2.0
//
// The plugin of deep_binding.c: allocates and frees with whatever malloc it is bound to.
#include <stdlib.h>
#include <string.h>

void* plugin_make(size_t bytes) {
  void* block = malloc(bytes);
  memset(block, 7, bytes);
  return block;
}
void plugin_take(void* block) { free(block); }
void* plugin_change(void* block, size_t bytes) { return realloc(block, bytes); }
