// SPDX-License-Identifier: Apache-2.0
//
// A library for forks_amid_dlopen to load and unload: it allocates when it is loaded, when it is called, and frees when
// it is unloaded. Runs in that program, in any of its threads.
#include <stdlib.h>

void* allocate_in_plugin(size_t bytes);

static void* volatile held;

__attribute__((noinline)) void* allocate_in_plugin(size_t bytes) {
  void* block = malloc(bytes);
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

__attribute__((constructor)) static void loaded(void) { held = malloc(77); }
__attribute__((destructor)) static void unloaded(void) { free(held); }
