// SPDX-License-Identifier: Apache-2.0
//
// The time of a malloc/free pair: blocks of 16 to 256 bytes, each of which lives for up to 1,024 others, at a stack of
// 10 and of 50 frames: all that gcc's unwinder counts from malloc's caller to the thread's first function.
//   one_thread    a ring of 1,024 blocks
//   two_threads   two at once, each with its own ring; the mean of their times
//   other_thread  one allocates a batch, the other frees it, by turns, and their waiting does not count. (At once it is
//                 the lock of glibc's arena that is timed: 270 to 1,200 ns with no tool, from a minute to the next.)
// What counts is `pair_ns`: time on the clock, of batches that no other process disturbed. pairs.py runs it without a
// tool and under each; it is also linked with LeakSanitizer.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <vector>

namespace {

constexpr size_t kRingBlocks = 1024, kBatchBlocks = 256;

class RandomSizes {
 public:
  size_t next() {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    return 16 + (random_ >> 33) % 241;
  }

 private:
  uint64_t random_ = 1;
};

class Ring {
 public:
  ~Ring() {
    for (void* block : blocks_) free(block);
  }

  // One pair: the oldest block goes, a new one of another size comes.
  void turn() {
    void*& block = blocks_[next_++ % kRingBlocks];
    free(block);
    block = malloc(sizes_.next());
    benchmark::DoNotOptimize(block);
  }

 private:
  std::array<void*, kRingBlocks> blocks_{};
  size_t next_ = 0;
  RandomSizes sizes_;
};

// A batch of blocks that one thread fills and the other empties, by turns. Who waits long gives the processor away.
class Handover {
 public:
  std::array<void*, kBatchBlocks> blocks;

  void wait_for_turn(int thread) const {
    for (unsigned tries = 1; turn_.load(std::memory_order_acquire) != thread; ++tries) {
      if (tries % 1024 == 0) {
        sched_yield();
      } else {
        __builtin_ia32_pause();
      }
    }
  }
  void pass_on() { turn_.store(1 - turn_.load(std::memory_order_relaxed), std::memory_order_release); }

 private:
  alignas(64) std::atomic<int> turn_{0};
};

Handover handover;

// ---- The stack.

_Unwind_Reason_Code count_frame(_Unwind_Context* frame, void* count) {
  if (_Unwind_GetIP(frame) != 0) ++*static_cast<unsigned*>(count);
  return _URC_NO_REASON;
}

// Of the caller.
__attribute__((noinline)) unsigned stack_depth() {
  unsigned frames = 0;
  _Unwind_Backtrace(count_frame, &frames);
  return frames - 1;
}

using Work = void (*)(benchmark::State&);

struct Job {
  benchmark::State& state;
  unsigned depth;
  Work work;
};

// Calls itself until what it calls next is as deep as the job says.
__attribute__((noinline)) void go_down(const Job& job) {
  if (stack_depth() + 1 < job.depth) {
    go_down(job);
  } else {
    job.work(job.state);
  }
  benchmark::ClobberMemory();  // Behind the call, so that it is not a tail call.
}

// Of two threads, each has a processor of its own, so that they really run at once.
void keep_apart(unsigned index) {
  cpu_set_t allowed, own;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (unsigned processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (!CPU_ISSET(processor, &allowed) || index-- != 0) continue;
    CPU_ZERO(&own);
    CPU_SET(processor, &own);
    sched_setaffinity(0, sizeof own, &own);
    return;
  }
}

void* begin_thread(void* argument) {
  const Job& job = *static_cast<const Job*>(argument);
  if (job.state.threads() > 1) keep_apart(static_cast<unsigned>(job.state.thread_index()));
  go_down(job);
  return nullptr;
}

// In a thread of its own, which has nothing of this library's on its stack.
template <Work kWork>
void in_thread(benchmark::State& state) {
  Job job{state, static_cast<unsigned>(state.range(0)), kWork};
  pthread_t thread;
  if (pthread_create(&thread, nullptr, begin_thread, &job) != 0 || pthread_join(thread, nullptr) != 0) abort();
}

void check_depth(const benchmark::State& state, unsigned depth) {
  if (depth != state.range(0)) abort();
}

// ---- What is timed: who calls malloc stands as deep as was asked for.

// The batches of one thread. Time asleep counts, in a lock for example; time in which another process had the processor
// does not, nor do the slowest 2 % of the batches: there, who held that lock had lost the processor.
class BatchClock {
 public:
  explicit BatchClock(const benchmark::State& state) { took_ns_.reserve(state.max_iterations); }

  template <typename Batch>
  void time(Batch batch) {
    const long taken_away = times_taken_away();
    const auto begun = std::chrono::steady_clock::now();
    batch();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begun;
    (times_taken_away() == taken_away ? took_ns_ : disturbed_ns_).push_back(took.count());
  }

  [[nodiscard]] double block_ns() {
    if (took_ns_.empty()) took_ns_.swap(disturbed_ns_);
    std::sort(took_ns_.begin(), took_ns_.end());
    took_ns_.resize(took_ns_.size() - took_ns_.size() / 50);
    const double sum_ns = std::accumulate(took_ns_.begin(), took_ns_.end(), 0.0);
    return sum_ns / static_cast<double>(took_ns_.size() * kBatchBlocks);
  }

 private:
  static long times_taken_away() {
    rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
  }

  std::vector<double> took_ns_, disturbed_ns_;
};

__attribute__((noinline)) void turn_ring(benchmark::State& state) {
  check_depth(state, stack_depth());
  Ring ring;
  BatchClock clock(state);
  for (auto _ : state) {
    clock.time([&ring] {
      for (size_t i = 0; i < kBatchBlocks; ++i) ring.turn();
    });
  }
  state.counters["pair_ns"] = benchmark::Counter(clock.block_ns(), benchmark::Counter::kAvgThreads);
}

__attribute__((noinline)) void hand_over(benchmark::State& state) {
  check_depth(state, stack_depth());
  const int thread = state.thread_index();
  RandomSizes sizes;
  BatchClock clock(state);
  for (auto _ : state) {
    handover.wait_for_turn(thread);
    if (thread == 0) {
      clock.time([&sizes] {
        for (void*& block : handover.blocks) block = malloc(sizes.next());
      });
    } else {
      clock.time([] {
        for (void* block : handover.blocks) free(block);
      });
    }
    handover.pass_on();
  }
  state.counters["pair_ns"] = benchmark::Counter(clock.block_ns());  // Of both threads together.
}

BENCHMARK(in_thread<turn_ring>)->Name("one_thread")->Arg(10)->Arg(50);
BENCHMARK(in_thread<turn_ring>)->Name("two_threads")->Arg(10)->Arg(50)->Threads(2)->UseRealTime();
BENCHMARK(in_thread<hand_over>)->Name("other_thread")->Arg(10)->Arg(50)->Threads(2)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
