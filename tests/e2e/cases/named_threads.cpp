// SPDX-License-Identifier: Apache-2.0
//
// Three threads, named reader, writer and indexer, leak 5 blocks each: of 10, 20 and 30 bytes, all in work(). Expected:
// 15 live blocks and 300 bytes at work(), whatever the threads did at once, and the threads' names in the stream.

#include <pthread.h>

#include <cstdlib>

namespace {

void* volatile escaped[3][5];

__attribute__((noinline)) void work(size_t which) {
  for (auto& block : escaped[which]) block = malloc(10 * (which + 1));
}

void* run(void* which) {
  static const char* const names[] = {"reader", "writer", "indexer"};
  size_t index = reinterpret_cast<size_t>(which);
  pthread_setname_np(pthread_self(), names[index]);
  work(index);
  return nullptr;
}

}  // namespace

int main() {
  pthread_t threads[3];
  for (size_t i = 0; i < 3; ++i) {
    if (pthread_create(&threads[i], nullptr, run, reinterpret_cast<void*>(i)) != 0) return 1;
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  return 0;
}
