// SPDX-License-Identifier: Apache-2.0
//
// Calls each function that libseep.so hooks, ten times, in count_each: what callgrind counts there of the hooks is
// their fast paths. Before that each was called once, so that nothing is looked up any more, and a large block was
// sampled. One thread; test_fast_path.py runs it.
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

extern "C" {
void count_each(void);
// Of C23, which glibc does not have yet: libseep.so's own.
__attribute__((weak)) void free_sized(void* block, size_t size);
__attribute__((weak)) void free_aligned_sized(void* block, size_t alignment, size_t size);
}

namespace {

constexpr size_t kSize = 24, kAlignment = 32;
constexpr size_t kSampledBytes = size_t{1} << 26;  // Of one block: it is sampled in any case.

template <typename Pointer>
Pointer escaped(Pointer block) {
  __asm__ volatile("" : "+r"(block) : : "memory");
  return block;
}

__attribute__((noinline)) void call_c_functions() {
  free(escaped(malloc(kSize)));
  free(escaped(realloc(escaped(calloc(1, kSize)), 2 * kSize)));
  free(escaped(reallocarray(escaped(malloc(kSize)), 2, kSize)));
  free(escaped(memalign(kAlignment, kSize)));
  free(escaped(aligned_alloc(kAlignment, kAlignment)));
  void* block = nullptr;
  if (posix_memalign(&block, kAlignment, kSize) == 0) free(escaped(block));
  free(escaped(valloc(kSize)));
  free(escaped(pvalloc(kSize)));
  if (free_sized != nullptr) free_sized(escaped(malloc(kSize)), kSize);
  if (free_aligned_sized != nullptr) free_aligned_sized(escaped(malloc(kSize)), kAlignment, kSize);
}

__attribute__((noinline)) void call_operators() {
  constexpr auto kAligned = std::align_val_t{kAlignment};
  ::operator delete(escaped(::operator new(kSize)));
  ::operator delete[](escaped(::operator new[](kSize)));
  ::operator delete(escaped(::operator new(kSize)), kSize);
  ::operator delete[](escaped(::operator new[](kSize)), kSize);
  ::operator delete(escaped(::operator new(kSize, std::nothrow)), std::nothrow);
  ::operator delete[](escaped(::operator new[](kSize, std::nothrow)), std::nothrow);
  ::operator delete(escaped(::operator new(kSize, kAligned)), kAligned);
  ::operator delete[](escaped(::operator new[](kSize, kAligned)), kAligned);
  ::operator delete(escaped(::operator new(kSize, kAligned)), kSize, kAligned);
  ::operator delete[](escaped(::operator new[](kSize, kAligned)), kSize, kAligned);
  ::operator delete(escaped(::operator new(kSize, kAligned, std::nothrow)), kAligned, std::nothrow);
  ::operator delete[](escaped(::operator new[](kSize, kAligned, std::nothrow)), kAligned, std::nothrow);
}

}  // namespace

__attribute__((noinline)) void count_each() {
  for (unsigned i = 0; i < 10; ++i) {
    call_c_functions();
    call_operators();
  }
}

int main() {
  call_c_functions();
  call_operators();
  free(escaped(malloc(kSampledBytes)));
  count_each();
  return 0;
}
