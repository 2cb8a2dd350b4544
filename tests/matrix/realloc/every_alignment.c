// SPDX-License-Identifier: Apache-2.0
//
// memalign, aligned_alloc, posix_memalign, valloc and pvalloc with every alignment, also odd, zero and huge ones, and
// every size, also none and far too much.
//
// Expected: what comes back is as aligned as without seep, can be written to its end, or is refused with the same errno
// and the same return value, and then posix_memalign leaves its result alone.
#include <malloc.h>
#include <stdint.h>

#include "truth.h"

#define kHuge (SIZE_MAX / 2 + 1)
#define kAll SIZE_MAX  // No power of two, and more than there is.
enum { kMiB = 1 << 20 };
static const size_t kAlignments[] = {0,  1,  2,   3,   7,    8,    12,   16,       24,        31,    32,
                                     48, 64, 100, 256, 4095, 4096, kMiB, kMiB + 1, kHuge - 1, kHuge, kAll};
static const size_t kSizes[] = {0,       1, 17, 100, 30000, 100000, (size_t)PTRDIFF_MAX - 100, (size_t)PTRDIFF_MAX + 1,
                                SIZE_MAX};
enum { kAlignmentCount = sizeof kAlignments / sizeof *kAlignments, kSizeCount = sizeof kSizes / sizeof *kSizes };

static int posix_result;
static char untouched;
static void* posix_block;

static void* made_by_posix(void) {
  if (posix_result == 0) return posix_block;
  if (posix_block != &untouched) abort();
  return NULL;
}

// Two for each, so that blocks of few bytes, of which a sampler sees hardly any, are counted by themselves.
typedef void* (*Allocate)(size_t alignment, size_t bytes);
#define DEFINE(NAME, CALL)                                                             \
  __attribute__((noinline)) static void* NAME##_few(size_t alignment, size_t bytes) {  \
    (void)alignment;                                                                   \
    return escape(CALL);                                                               \
  }                                                                                    \
  __attribute__((noinline)) static void* NAME##_many(size_t alignment, size_t bytes) { \
    (void)alignment;                                                                   \
    return escape(CALL);                                                               \
  }                                                                                    \
  static const struct Function of_##NAME = {#NAME, {NAME##_few, NAME##_many}, {#NAME "_few", #NAME "_many"}}
struct Function {
  const char* name;
  Allocate allocate[2];
  const char* site[2];
};
DEFINE(by_memalign, memalign(alignment, bytes));
DEFINE(by_aligned_alloc, aligned_alloc(alignment, bytes));
DEFINE(by_posix_memalign,
       (posix_block = &untouched, posix_result = posix_memalign(&posix_block, alignment, bytes), made_by_posix()));
DEFINE(by_valloc, valloc(bytes));
DEFINE(by_pvalloc, pvalloc(bytes));

// The largest power of two, of those up to a page, that divides the address and was asked for.
static size_t aligned_to(const void* block, size_t alignment) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > 1 << 20) alignment = 16;
  while ((uintptr_t)block % alignment != 0) alignment /= 2;
  return alignment;
}

static void try_sizes(const struct Function* function, int many, size_t alignments) {
  unsigned long blocks = 0, bytes = 0, live = 0, live_bytes = 0;
  for (size_t a = 0; a < alignments; ++a) {
    for (size_t s = 0; s < kSizeCount; ++s) {
      if ((kSizes[s] >= 30000) != many) continue;
      errno = 4242;
      posix_result = 0;
      char* block = function->allocate[many](kAlignments[a], kSizes[s]);
      const int error = errno;
      printf("%s %zx %zx: %s %zu, errno %d, result %d\n", function->name, kAlignments[a], kSizes[s],
             block == NULL ? "null" : "block", block == NULL ? 0 : aligned_to(block, kAlignments[a]), error,
             posix_result);
      if (block == NULL) continue;
      memset(block, 1, malloc_usable_size(block));
      ++blocks;
      bytes += kSizes[s];
      if (a % 2 == 0) {
        free(block);
      } else {
        ++live;
        live_bytes += kSizes[s];
      }
    }
  }
  truth_site(function->site[many], blocks, bytes, live, live_bytes);
}

int main(void) {
  const struct Function* const functions[] = {&of_by_memalign, &of_by_aligned_alloc, &of_by_posix_memalign,
                                              &of_by_valloc, &of_by_pvalloc};
  for (int i = 0; i < 5; ++i) {
    for (int many = 0; many < 2; ++many) try_sizes(functions[i], many, i < 3 ? kAlignmentCount : 2);
  }
  return 0;
}
