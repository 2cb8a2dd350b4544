// SPDX-License-Identifier: Apache-2.0
//
// Allocates BLOCKS blocks of SIZE bytes for each pair of arguments `SIZE BLOCKS`, each size at a site of its own
// (allocate<SIZE>), the sizes in turn. With `keep` as the first argument every second block stays; with `free` none
// does. Expected, sampled: the estimates of each site agree with what was asked for.
//
// Blocks are not written to, so that gigabytes of them cost address space only.

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

void* volatile escaped;

template <size_t kSizeBytes>
__attribute__((noinline)) void* allocate() {
  void* block = malloc(kSizeBytes);
  escaped = block;
  return block;
}

struct Size {
  size_t size_bytes;
  void* (*allocate)();
};

constexpr Size kSizes[] = {
    {16, allocate<16>},         {64, allocate<64>},           {256, allocate<256>},
    {1024, allocate<1024>},     {4096, allocate<4096>},       {32768, allocate<32768>},
    {262144, allocate<262144>}, {1048576, allocate<1048576>}, {8388608, allocate<8388608>},
};

struct Work {
  const Size* size;
  size_t blocks;
  size_t done;
};

const Size* find_size(const char* text) {
  for (const Size& size : kSizes) {
    if (size.size_bytes == strtoull(text, nullptr, 10)) return &size;
  }
  return nullptr;
}

// One round allocates from each site in proportion to what it has to do, so that the sites are mixed in time.
void run(Work* works, size_t count, bool keep) {
  constexpr size_t kRounds = 16;
  for (size_t round = 1; round <= kRounds; ++round) {
    for (size_t i = 0; i < count; ++i) {
      Work& work = works[i];
      for (; work.done < work.blocks * round / kRounds; ++work.done) {
        void* block = work.size->allocate();
        if (block == nullptr) exit(3);
        if (!keep || work.done % 2 == 1) free(block);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Blocks come from the heap whatever their size: this is about the sampler, not about mmap's speed.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  Work works[16] = {};
  size_t count = 0;
  for (int i = 2; i + 1 < argc && count < 16; i += 2) {
    const Size* size = find_size(argv[i]);
    if (size == nullptr) return 2;
    works[count++] = {size, strtoull(argv[i + 1], nullptr, 10), 0};
  }
  if (count == 0) return 2;
  run(works, count, strcmp(argv[1], "keep") == 0);
  return 0;
}
