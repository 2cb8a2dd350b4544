// SPDX-License-Identifier: Apache-2.0
//
// Allocates before any constructor of a preloaded library can have run: in an IFUNC resolver (while the loader
// relocates), in .preinit_array, in the constructor of a library that the program is linked with; then in its own
// constructor and in main. Each hands its blocks on to the next, which frees some and moves some.
//
// Expected: the phases run in their order, and every block is recorded in the function that asked for it: what is live
// at the end is what main kept.
#include "before_constructors.h"

#include "truth.h"

enum { kBlocks = 40, kKept = 10 };

static void* of_resolver[kBlocks];
static void* of_preinit[kBlocks];
static void* of_constructor[kBlocks];
static const char* volatile phases[8];
static int phase_count;

__attribute__((noinline)) static void* make_in_resolver(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* make_in_preinit(size_t bytes) { return escape(calloc(1, bytes)); }
__attribute__((noinline)) static void* make_in_constructor(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* move_in_main(void* block, size_t bytes) { return escape(realloc(block, bytes)); }

static int answer_42(void) { return 42; }

typedef int (*Answer)(void);
__attribute__((used)) static Answer choose_answer(void) {
  for (int i = 0; i < kBlocks; ++i) of_resolver[i] = make_in_resolver(100);
  return answer_42;
}
static int answer(void) __attribute__((ifunc("choose_answer")));

static void preinit(int argc, char** argv, char** environment) {
  (void)argc, (void)argv, (void)environment;
  phases[phase_count++] = "preinit";
  for (int i = 0; i < kBlocks; ++i) of_preinit[i] = make_in_preinit(200);
  for (int i = kKept; i < kBlocks; ++i) free(of_resolver[i]);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(int, char**, char**) = preinit;

__attribute__((constructor)) static void construct(void) {
  phases[phase_count++] = "constructor";
  for (int i = 0; i < kBlocks; ++i) of_constructor[i] = make_in_constructor(400);
  for (int i = kKept; i < kBlocks; ++i) free(of_library[i]);
}

static int all_zero(const unsigned char* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (bytes[i] != 0) return 0;
  }
  return 1;
}

int main(void) {
  printf("answer %d, zeros %d, phases", answer(), all_zero(of_preinit[0], 200));
  for (int i = 0; i < phase_count; ++i) printf(" %s", phases[i]);
  printf(", library %d\n", library_constructed);
  for (int i = kKept; i < kBlocks; ++i) {
    free(of_preinit[i]);
    of_constructor[i] = move_in_main(of_constructor[i], 4000);
  }
  truth_site("make_in_resolver", kBlocks, 100 * kBlocks, kKept, 100 * kKept);
  truth_site("make_in_preinit", kBlocks, 200 * kBlocks, kKept, 200 * kKept);
  truth_site("make_in_library", kLibraryBlocks, 300 * kLibraryBlocks, kKept, 300 * kKept);
  truth_site("make_in_constructor", kBlocks, 400 * kBlocks, kKept, 400 * kKept);
  truth_site("move_in_main", kBlocks - kKept, 4000 * (kBlocks - kKept), kBlocks - kKept, 4000 * (kBlocks - kKept));
  return 0;
}
