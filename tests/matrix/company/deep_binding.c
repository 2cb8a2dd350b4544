// SPDX-License-Identifier: Apache-2.0
//
// Loads a plugin with RTLD_DEEPBIND, which finds libc's malloc before any preloaded one. Blocks cross the border in
// both directions: what the plugin makes is freed here, what is made here is freed and reallocated in the plugin.
// Argument: the plugin.
//
// Expected: the same output; what is allocated here is counted, and frees of blocks that nobody saw are counted as
// such.
#include <dlfcn.h>

#include "truth.h"

enum { kTimes = 1000, kBytes = 1700 };

__attribute__((noinline)) static void* allocates_in_the_program(void) { return escape(malloc(kBytes)); }

int main(int count, char** arguments) {
  void* plugin = count == 2 ? dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) : NULL;
  if (plugin == NULL) return 2;
  void* (*make)(size_t);
  void (*take)(void*);
  void* (*change)(void*, size_t);
  *(void**)&make = dlsym(plugin, "plugin_make");
  *(void**)&take = dlsym(plugin, "plugin_take");
  *(void**)&change = dlsym(plugin, "plugin_change");
  unsigned long sum = 0;
  for (int i = 0; i < kTimes; ++i) {
    char* theirs = make(kBytes);
    sum += (unsigned char)theirs[kBytes - 1];
    free(theirs);
    char* ours = allocates_in_the_program();
    memset(ours, i, kBytes);
    ours = change(ours, 2 * kBytes);
    sum += (unsigned char)ours[kBytes - 1];
    if (i % 2 == 0) take(ours);
    else free(ours);
    char* grown = escape(realloc(make(100), 5000));
    sum += (unsigned char)grown[99];
    free(grown);
    take(allocates_in_the_program());
  }
  dlclose(plugin);
  printf("%lu\n", sum);
  return 0;
}
