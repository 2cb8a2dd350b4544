// SPDX-License-Identifier: Apache-2.0
//
// 64 threads at once, each of which allocates by every kind of function, keeps a tenth, and hands the rest to the
// thread after it, which frees it. Each has its own random sequence; the program counts what they do.
//
// Expected: the counts are those of the program, to the block and the byte.
#include <malloc.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "truth.h"

namespace {

constexpr int kThreads = 64, kRounds = 1500, kMailbox = 32;

struct Held {
  void* block;
  size_t bytes;
  int kind;
};
struct Count {
  unsigned long blocks = 0, bytes = 0, live = 0, live_bytes = 0;
};

enum Kind { kMalloc, kCalloc, kRealloc, kAligned, kNew, kArray, kKinds };

__attribute__((noinline)) void* by_malloc(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* by_calloc(size_t bytes) { return escape(calloc(bytes, 1)); }
__attribute__((noinline)) void* half_first(size_t bytes) { return escape(malloc(bytes / 2 + 1)); }
__attribute__((noinline)) void* by_realloc(size_t bytes) { return escape(realloc(half_first(bytes), bytes)); }
__attribute__((noinline)) void* by_aligned(size_t bytes) { return escape(memalign(64, bytes)); }
__attribute__((noinline)) void* by_new(size_t bytes) { return escape(operator new(bytes)); }
__attribute__((noinline)) void* by_array(size_t bytes) { return escape(new char[bytes]); }

void* make(int kind, size_t bytes) {
  switch (kind) {
    case kMalloc: return by_malloc(bytes);
    case kCalloc: return by_calloc(bytes);
    case kRealloc: return by_realloc(bytes);
    case kAligned: return by_aligned(bytes);
    case kNew: return by_new(bytes);
    default: return by_array(bytes);
  }
}

void give_back(const Held& held) {
  if (held.kind == kNew) operator delete(held.block, held.bytes);
  else if (held.kind == kArray) delete[] static_cast<char*>(held.block);
  else free(held.block);
}

// What a thread leaves for the next one; it is emptied when both are done.
std::atomic<Held*> mailboxes[kThreads][kMailbox];
std::atomic<long> blocks_of[kKinds], bytes_of[kKinds], live_of[kKinds], live_bytes_of[kKinds];
std::atomic<unsigned long> half_bytes;

void count_live(const Held& held, int by) {
  live_of[held.kind] += by;
  live_bytes_of[held.kind] += by * static_cast<long>(held.bytes);
}

void free_held(Held* held) {
  count_live(*held, -1);
  give_back(*held);
  delete held;
}

void work(int number) {
  uint64_t state = static_cast<uint64_t>(number) * 2654435761u + 12345;
  const auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  for (int i = 0; i < kRounds; ++i) {
    const int kind = static_cast<int>(random(kKinds));
    const size_t bytes = 1 + random(8000);
    Held* held = new Held{make(kind, bytes), bytes, kind};
    ++blocks_of[kind];
    bytes_of[kind] += static_cast<long>(bytes);
    if (kind == kRealloc) half_bytes += bytes / 2 + 1;
    count_live(*held, 1);
    if (Held* mine = mailboxes[number][random(kMailbox)].exchange(nullptr)) free_held(mine);
    if (random(10) == 0) {  // Kept for ever.
      delete held;
      continue;
    }
    if (Held* old = mailboxes[(number + 1) % kThreads][random(kMailbox)].exchange(held)) free_held(old);
  }
}

void tell(const char* function, Kind kind) {
  truth_site(function, static_cast<unsigned long>(blocks_of[kind]), static_cast<unsigned long>(bytes_of[kind]),
             static_cast<unsigned long>(live_of[kind]), static_cast<unsigned long>(live_bytes_of[kind]));
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  for (auto& mailbox : mailboxes) {
    for (std::atomic<Held*>& slot : mailbox) {
      if (Held* held = slot.exchange(nullptr)) free_held(held);
    }
  }
  truth_site("half_first", static_cast<unsigned long>(blocks_of[kRealloc]), half_bytes, 0, 0);
  tell("by_malloc", kMalloc);
  tell("by_calloc", kCalloc);
  tell("by_realloc", kRealloc);
  tell("by_aligned", kAligned);
  tell("by_new", kNew);
  tell("by_array", kArray);
  return 0;
}
