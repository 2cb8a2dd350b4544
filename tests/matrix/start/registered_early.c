// SPDX-License-Identifier: Apache-2.0
//
// The constructor of a library, and .preinit_array, register what runs at the end (on_exit, atexit, at_quick_exit), and
// that frees, moves and leaks: it runs after all that was registered later. Argument: "exit" or "quick_exit".
//
// Expected: what is freed there is not live, what is leaked there is, and what is said there is said.
#include "registered_early.h"

#include "truth.h"

enum { kBlocks = 16 };
static void* of_main[kBlocks];

__attribute__((noinline)) static void* make_for_the_end(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* leak_at_the_end(size_t bytes) { return escape(malloc(bytes)); }

static void say(const char* text) { (void)!write(1, text, strlen(text)); }

static void free_some(int from, int to) {
  for (int i = from; i < to; ++i) free(of_main[i]);
}

static void at_end_of_preinit(void) {
  say("atexit of preinit\n");
  free_some(0, 4);
}

static void preinit(int argc, char** argv, char** environment) {
  (void)argc, (void)argv, (void)environment;
  atexit(at_end_of_preinit);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(int, char**, char**) = preinit;

void end_of_library(int quick) {
  say(quick ? "at_quick_exit of the library\n" : "on_exit of the library\n");
  free_some(quick ? 0 : 4, kBlocks);
  leak_at_the_end(77);
}

int main(int argc, char** argv) {
  const int quick = argc > 1 && strcmp(argv[1], "quick_exit") == 0;
  for (int i = 0; i < kBlocks; ++i) of_main[i] = make_for_the_end(1000);
  truth_site("make_for_the_end", kBlocks, 1000 * kBlocks, 0, 0);
  truth_site("leak_at_the_end", 1, 77, 1, 77);
  if (registered_early) say("the library came first\n");
  if (quick) quick_exit(5);
  exit(6);
}
