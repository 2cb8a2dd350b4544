// SPDX-License-Identifier: Apache-2.0
//
// The time of a malloc/free pair: blocks of 16 to 256 bytes in a ring of 1,024, so that each block lives for 1,024
// others. W1: on one thread. W2: on two at once, each with its own ring. W3: at recursion depth 50. run.py runs it
// without a tool and under each.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr size_t kRingBlocks = 1024;

class Ring {
 public:
  ~Ring() {
    for (void* block : blocks_) free(block);
  }

  // One pair: the oldest block goes, a new one of another size comes.
  void turn() {
    void*& block = blocks_[next_++ % kRingBlocks];
    free(block);
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    block = malloc(16 + (random_ >> 33) % 241);
    benchmark::DoNotOptimize(block);
  }

 private:
  std::array<void*, kRingBlocks> blocks_{};
  size_t next_ = 0;
  uint64_t random_ = 1;
};

void pairs(benchmark::State& state) {
  Ring ring;
  for (auto _ : state) ring.turn();
}

__attribute__((noinline)) void pairs_at_depth(benchmark::State& state, int depth) {
  if (depth == 0) {
    pairs(state);
  } else {
    pairs_at_depth(state, depth - 1);
  }
  benchmark::ClobberMemory();  // Behind the call, so that it is not a tail call.
}

void w1(benchmark::State& state) { pairs(state); }
void w2(benchmark::State& state) { pairs(state); }
void w3(benchmark::State& state) { pairs_at_depth(state, 50); }

BENCHMARK(w1);
BENCHMARK(w2)->Threads(2)->UseRealTime();
BENCHMARK(w3);

}  // namespace

BENCHMARK_MAIN();
