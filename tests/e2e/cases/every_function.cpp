// SPDX-License-Identifier: Apache-2.0
//
// Calls every function of the allocation family and leaks one block of each, of a size that no other has; it frees as
// many. Expected: what it prints, as JSON {function: bytes}, over whichever allocator it is linked with, and all the
// frees seen.
//
// The sizes of aligned new are multiples of the alignment: libstdc++'s rounds up to one before it calls aligned_alloc,
// and behind a tail-jump to it that call is what can be seen.

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

constexpr std::align_val_t kAlignment{128};
void* volatile escaped[64];
char truth[4096];
size_t truth_bytes;

void keep(void* block, const char* function, size_t size_bytes) {
  if (block == nullptr) abort();
  escaped[truth_bytes % 64] = block;
  memset(block, 1, size_bytes);
  truth_bytes += static_cast<size_t>(snprintf(truth + truth_bytes, sizeof truth - truth_bytes, "%s\"%s\": %zu",
                                              truth_bytes == 0 ? "{" : ", ", function, size_bytes));
}

// A function of its own for each call, so that each has a site of its own.
#define LEAK(name, size_bytes, expression)       \
  __attribute__((noinline)) void leak_##name() { \
    keep(expression, "leak_" #name, size_bytes); \
    escaped[0] = nullptr;                        \
  }

void* posix_memalign_block(size_t alignment, size_t size_bytes) {
  void* block = nullptr;
  return posix_memalign(&block, alignment, size_bytes) == 0 ? block : nullptr;
}

LEAK(malloc, 1001, malloc(1001))
LEAK(calloc, 1002, calloc(2, 501))
LEAK(realloc, 1003, realloc(nullptr, 1003))
LEAK(reallocarray, 1004, reallocarray(nullptr, 4, 251))
LEAK(memalign, 1005, memalign(64, 1005))
LEAK(aligned_alloc, 1024, aligned_alloc(64, 1024))
LEAK(posix_memalign, 1007, posix_memalign_block(64, 1007))
LEAK(valloc, 1008, valloc(1008))
LEAK(new, 1009, operator new(1009))
LEAK(new_array, 1010, operator new[](1010))
LEAK(new_nothrow, 1011, operator new(1011, std::nothrow))
LEAK(new_array_nothrow, 1012, operator new[](1012, std::nothrow))
LEAK(new_aligned, 1152, operator new(1152, kAlignment))
LEAK(new_array_aligned, 1280, operator new[](1280, kAlignment))
LEAK(new_aligned_nothrow, 1408, operator new(1408, kAlignment, std::nothrow))
LEAK(new_array_aligned_nothrow, 1536, operator new[](1536, kAlignment, std::nothrow))
LEAK(strdup, 11, strdup("0123456789"))

void* volatile block;

void free_each_way() {
  block = malloc(50), free(block);
  block = calloc(5, 10), free(block);
  block = realloc(realloc(nullptr, 10), 5000), free(block);
  block = memalign(64, 50), free(block);
  block = operator new(50), operator delete(block);
  block = operator new(50), operator delete (block, size_t{50});
  block = operator new[](50), operator delete[](block);
  block = operator new[](50), operator delete[](block, size_t{50});
  block = operator new(50, std::nothrow), operator delete(block, std::nothrow);
  block = operator new[](50, std::nothrow), operator delete[](block, std::nothrow);
  block = operator new(50, kAlignment), operator delete(block, kAlignment);
  block = operator new(50, kAlignment), operator delete (block, size_t{50}, kAlignment);
  block = operator new[](50, kAlignment), operator delete[](block, kAlignment);
  block = operator new[](50, kAlignment), operator delete[](block, size_t{50}, kAlignment);
  block = operator new(50, kAlignment, std::nothrow), operator delete(block, kAlignment, std::nothrow);
  block = operator new[](50, kAlignment, std::nothrow), operator delete[](block, kAlignment, std::nothrow);
}

}  // namespace

int main() {
  for (int i = 0; i < 10; ++i) free_each_way();
  leak_malloc(), leak_calloc(), leak_realloc(), leak_reallocarray();
  leak_memalign(), leak_aligned_alloc(), leak_posix_memalign(), leak_valloc();
  leak_new(), leak_new_array(), leak_new_nothrow(), leak_new_array_nothrow();
  leak_new_aligned(), leak_new_array_aligned(), leak_new_aligned_nothrow(), leak_new_array_aligned_nothrow();
  leak_strdup();
  truth[truth_bytes++] = '}';
  return write(STDOUT_FILENO, truth, truth_bytes) > 0 ? 0 : 1;
}
