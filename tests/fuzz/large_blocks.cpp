// SPDX-License-Identifier: Apache-2.0
//
// operator new for the fuzzers: the stream reader's window is a fresh MiB or two for each input, which the address
// sanitizer maps, the kernel fills page by page, and the sanitizer unmaps again: ten times the cost of all that is
// fuzzed. Here two large blocks are kept and given out again, with their ends still watched.
//
// One thread.
#include <sanitizer/asan_interface.h>

#include <cstdlib>
#include <new>

namespace {

constexpr size_t kLargeBytes = 1 << 20, kKeptBytes = 4 << 20;

struct Kept {
  void* block = nullptr;
  size_t bytes_in_use = 0;  // 0: free, and all of it is poisoned.
};
Kept kept[2];

void* take(size_t bytes) {
  if (bytes < kLargeBytes || bytes > kKeptBytes) return std::malloc(bytes);
  for (Kept& each : kept) {
    if (each.bytes_in_use != 0) continue;
    if (each.block == nullptr) {
      each.block = std::malloc(kKeptBytes);
      if (each.block == nullptr) return nullptr;
      __asan_poison_memory_region(each.block, kKeptBytes);
    }
    each.bytes_in_use = bytes;
    __asan_unpoison_memory_region(each.block, bytes);
    return each.block;
  }
  return std::malloc(bytes);
}

void give_back(void* block) {
  for (Kept& each : kept) {
    if (block == nullptr || block != each.block) continue;
    __asan_poison_memory_region(each.block, each.bytes_in_use);
    each.bytes_in_use = 0;
    return;
  }
  std::free(block);
}

}  // namespace

void* operator new(size_t bytes) {
  if (void* block = take(bytes)) return block;
  throw std::bad_alloc();
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return take(bytes); }
void operator delete(void* block) noexcept { give_back(block); }
void operator delete[](void* block) noexcept { give_back(block); }
void operator delete(void* block, size_t) noexcept { give_back(block); }
void operator delete[](void* block, size_t) noexcept { give_back(block); }
