// SPDX-License-Identifier: Apache-2.0
//
// What marking costs on one core: reading root memory that holds no pointers, few, or nothing else; sorting and
// indexing the blocks; and the flood through a heap whose blocks lie in an order of their own, as those of a program
// that has run for a while do. With seep's own code, in memory that is laid here.
//   build/tests/bench/mark [--benchmark_filter=...]
#include "preload/leak_scan/mark.h"

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

namespace seep::leak_scan {
namespace {

constexpr uint64_t kBlockBytes = 48, kStrideBytes = 64;

class Memory {
 public:
  explicit Memory(uint64_t bytes) : bytes_(bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) abort();
    start_ = reinterpret_cast<uint64_t>(memory);
  }
  ~Memory() { munmap(words(), bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] uint64_t start() const { return start_; }
  [[nodiscard]] uint64_t end() const { return start_ + bytes_; }
  [[nodiscard]] uint64_t* words() const { return reinterpret_cast<uint64_t*>(start_); }
  [[nodiscard]] uint64_t word_count() const { return bytes_ / 8; }

 private:
  uint64_t bytes_;
  uint64_t start_;
};

struct Heap {
  Memory memory;
  std::vector<uint32_t> order;  // A permutation of the blocks.

  explicit Heap(uint32_t blocks) : memory(blocks * kStrideBytes), order(blocks) {
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  }
  [[nodiscard]] uint64_t address(uint64_t block) const { return memory.start() + block * kStrideBytes; }
  void link(uint64_t from, unsigned word, uint64_t to) const {
    *reinterpret_cast<uint64_t*>(address(from) + word * 8) = address(to);
  }
  // A tree of all blocks, in the order of the permutation: each points to two.
  void lay_tree() const {
    for (uint64_t i = 1; i < order.size(); ++i) link(order[(i - 1) / 2], 1 + i % 2, order[i]);
  }
  void lay_list() const {
    for (uint64_t i = 1; i < order.size(); ++i) link(order[i - 1], 0, order[i]);
  }

  void add_to(BlockIndex& index) const {
    if (!index.reserve(order.size())) abort();
    for (const uint32_t block : order) {
      if (!index.add(address(block), kBlockBytes, 1)) abort();
    }
  }
};

void check(Outcome outcome) {
  if (outcome != Outcome::kDone) abort();
}

// Roots of 256 MiB, over a heap of a million blocks in 61 MiB.
template <typename Fill>
void roots(benchmark::State& state, Fill fill) {
  const Heap heap(1'000'000);
  const Memory memory(uint64_t{256} << 20);
  std::mt19937_64 random(2);
  for (uint64_t i = 0; i < memory.word_count(); ++i) memory.words()[i] = fill(random, heap);
  PrivateMemory working;
  BlockIndex index(working);
  heap.add_to(index);
  check(index.build({}));
  for (auto _ : state) {
    Marker marker(working, index, {});
    check(marker.start());
    marker.add_roots(memory.start(), memory.end());
    benchmark::DoNotOptimize(marker.scanned_bytes());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * 8 * static_cast<int64_t>(memory.word_count()));
}

void RootsOfZeros(benchmark::State& state) {
  roots(state, [](std::mt19937_64&, const Heap&) { return uint64_t{0}; });
}
void RootsOfRandomWords(benchmark::State& state) {
  roots(state, [](std::mt19937_64& random, const Heap&) { return random(); });
}
void RootsWithAPointerInSixteen(benchmark::State& state) {
  roots(state, [](std::mt19937_64& random, const Heap& heap) {
    return random() % 16 == 0 ? heap.address(random() % 1'000'000) : random() % 1000;
  });
}
void RootsOfPointers(benchmark::State& state) {
  roots(state, [](std::mt19937_64& random, const Heap& heap) { return heap.address(random() % 1'000'000); });
}

void SortAndIndex(benchmark::State& state) {
  const Heap heap(static_cast<uint32_t>(state.range(0)));
  uint64_t bytes = 0;
  for (auto _ : state) {
    PrivateMemory working;
    BlockIndex index(working);
    state.PauseTiming();
    heap.add_to(index);
    state.ResumeTiming();
    check(index.build({}));
    bytes = working.used_bytes();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
  state.counters["bytes_per_block"] = static_cast<double>(bytes) / static_cast<double>(state.range(0));
}

// `rooted`: from a root; else all is leaked, and the two floods that tell how it hangs together are counted, too.
void flood(benchmark::State& state, const Heap& heap, bool rooted) {
  PrivateMemory working;
  BlockIndex index(working);
  heap.add_to(index);
  check(index.build({}));
  for (auto _ : state) {
    Marker marker(working, index, {});
    check(marker.start());
    if (rooted) marker.add_root(heap.address(heap.order[0]));
    check(marker.finish());
    if (marker.leak_count() != (rooted ? 0 : 1)) abort();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}

void FloodOfATree(benchmark::State& state) {
  const Heap heap(static_cast<uint32_t>(state.range(0)));
  heap.lay_tree();
  flood(state, heap, true);
}
void FloodOfAList(benchmark::State& state) {
  const Heap heap(static_cast<uint32_t>(state.range(0)));
  heap.lay_list();
  flood(state, heap, true);
}
void AllOfATreeIsLeaked(benchmark::State& state) {
  const Heap heap(static_cast<uint32_t>(state.range(0)));
  heap.lay_tree();
  flood(state, heap, false);
}

constexpr int64_t kMillion = 1'000'000;
BENCHMARK(RootsOfZeros)->Unit(benchmark::kMillisecond);
BENCHMARK(RootsOfRandomWords)->Unit(benchmark::kMillisecond);
BENCHMARK(RootsWithAPointerInSixteen)->Unit(benchmark::kMillisecond);
BENCHMARK(RootsOfPointers)->Unit(benchmark::kMillisecond);
BENCHMARK(SortAndIndex)->Arg(kMillion)->Arg(10 * kMillion)->Unit(benchmark::kMillisecond);
BENCHMARK(FloodOfATree)->Arg(kMillion)->Arg(10 * kMillion)->Unit(benchmark::kMillisecond);
BENCHMARK(FloodOfAList)->Arg(kMillion)->Arg(10 * kMillion)->Unit(benchmark::kMillisecond);
BENCHMARK(AllOfATreeIsLeaked)->Arg(kMillion)->Arg(10 * kMillion)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace seep::leak_scan

BENCHMARK_MAIN();
