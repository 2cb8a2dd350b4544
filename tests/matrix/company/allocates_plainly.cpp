// SPDX-License-Identifier: Apache-2.0
//
// C and C++ allocation of every size class in three threads, blocks that go from one thread to another, and what is
// linked or preloaded besides is none of its business. Built plain, and with jemalloc, tcmalloc and mimalloc linked in,
// as libraries and (with _static) as a part of the executable.
//
// Expected: the same output in any company; recorded truly, or a recording that says that it was not.
#include <malloc.h>

#include <cstddef>
#include <ctime>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "truth.h"

namespace {

constexpr int kThreads = 3, kRounds = 80;
constexpr size_t kSizes[] = {3000, 4096, 5000, 6500};  // Alike, so that few samples tell of all.
constexpr unsigned long kSizeCount = sizeof kSizes / sizeof *kSizes;

__attribute__((noinline)) void* allocates_by_malloc(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* allocates_by_calloc(size_t bytes) { return escape(calloc(1, bytes)); }
__attribute__((noinline)) void* allocates_by_new(size_t bytes) { return escape(operator new(bytes)); }
__attribute__((noinline)) void* allocates_aligned(size_t bytes) { return escape(memalign(256, bytes)); }
__attribute__((noinline)) void* allocates_small(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* allocates_large(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* reallocates(void* block, size_t bytes) { return escape(realloc(block, bytes)); }

void run(std::vector<void*>& to_free_elsewhere) {
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < 10; ++i) free(allocates_small(24));
    free(allocates_large(400'000));
    for (const size_t bytes : kSizes) {
      free(allocates_by_malloc(bytes));
      free(allocates_by_calloc(bytes));
      operator delete(allocates_by_new(bytes));
      free(allocates_aligned(bytes));
      to_free_elsewhere.push_back(reallocates(allocates_by_malloc(bytes), 2 * bytes));
    }
  }
}

void tell(const char* function, unsigned long times, unsigned long factor) {
  unsigned long bytes = 0;
  for (const size_t size : kSizes) bytes += size;
  const unsigned long rounds = kThreads * kRounds;
  truth_site(function, rounds * kSizeCount * times, rounds * bytes * times * factor, 0, 0);
}

}  // namespace

int main() {
  std::vector<void*> blocks[kThreads];
  std::vector<std::thread> threads;
  for (auto& some : blocks) threads.emplace_back([&some] { run(some); });
  for (auto& thread : threads) thread.join();
  unsigned long aligned = 0;
  for (auto& some : blocks) {
    for (void* block : some) {
      aligned += reinterpret_cast<uintptr_t>(block) % alignof(std::max_align_t) == 0 ||
                 malloc_usable_size(block) < alignof(std::max_align_t);
      free(block);
    }
  }
  printf("%lu of %lu blocks are aligned\n", aligned, kThreads * kRounds * kSizeCount);
  if (getenv("FAKETIME") != nullptr) printf("day %ld\n", static_cast<long>(time(nullptr) / 86400));
  tell("allocates_by_malloc", 2, 1);
  tell("allocates_by_calloc", 1, 1);
  tell("allocates_by_new", 1, 1);
  tell("allocates_aligned", 1, 1);
  tell("reallocates", 1, 2);
  truth_site("allocates_small", kThreads * kRounds * 10, kThreads * kRounds * 10 * 24, 0, 0);
  truth_site("allocates_large", kThreads * kRounds, kThreads * kRounds * 400'000ul, 0, 0);
  return 0;
}
