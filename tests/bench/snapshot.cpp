// SPDX-License-Identifier: Apache-2.0
//
// What one snapshot takes of the thread that takes it, with 10,000 sites: the first, which writes each trace; one after
// each site has changed, after 100 have, and after none has. With the real encoder, into a file in memory.
//   build/tests/bench/snapshot [--benchmark_filter=...]
// `site_bytes` is of each changed site in the stream, all included.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "record/snapshot_encoder.h"
#include "steady_program.h"

namespace seep {
namespace {

constexpr unsigned kSites = 10'000;

class StreamInMemory {
 public:
  StreamInMemory() : fd_(memfd_create("stream", MFD_CLOEXEC)) {
    if (fd_ < 0) abort();
  }
  ~StreamInMemory() { close(fd_); }
  StreamInMemory(const StreamInMemory&) = delete;
  StreamInMemory& operator=(const StreamInMemory&) = delete;

  void append_snapshot(const SteadyProgram& program) {
    bytes_ = 0;
    const StreamSink sink{write_all, this};
    if (!encode_snapshot(program.region(), *scratch_, sink, SnapshotKind::kInterval, program.now_ns(), nullptr))
      abort();
  }
  // Of the last snapshot.
  [[nodiscard]] size_t bytes() const { return bytes_; }
  void clear() {
    if (ftruncate(fd_, 0) != 0 || lseek(fd_, 0, SEEK_SET) != 0) abort();
  }

 private:
  static bool write_all(void* context, const void* data, size_t bytes) {
    auto& stream = *static_cast<StreamInMemory*>(context);
    stream.bytes_ += bytes;
    return write(stream.fd_, data, bytes) == static_cast<ssize_t>(bytes);
  }

  int fd_;
  size_t bytes_ = 0;
  std::unique_ptr<EncoderScratch> scratch_ = std::make_unique<EncoderScratch>();
};

void count_bytes(benchmark::State& state, size_t bytes, unsigned sites) {
  state.counters["site_bytes"] = static_cast<double>(bytes) / sites;
}

// A region can have one first snapshot.
void first(benchmark::State& state, bool sampled) {
  StreamInMemory stream;
  for (auto _ : state) {
    state.PauseTiming();
    auto program = std::make_unique<SteadyProgram>(sampled, kSites);
    stream.clear();
    state.ResumeTiming();
    stream.append_snapshot(*program);
    state.PauseTiming();
    program.reset();
    state.ResumeTiming();
  }
  count_bytes(state, stream.bytes(), kSites);
}

// After hours, so that there are blocks of every age.
void next(benchmark::State& state, bool sampled, unsigned changes) {
  StreamInMemory stream;
  SteadyProgram program(sampled, kSites);
  uint64_t second = 1;
  for (; second < 30'000; second *= 3) program.live_a_second(second, kSites, kSites);
  stream.append_snapshot(program);
  for (auto _ : state) {
    state.PauseTiming();
    program.live_a_second(++second, changes, kSites);
    stream.clear();
    state.ResumeTiming();
    stream.append_snapshot(program);
  }
  if (changes != 0) count_bytes(state, stream.bytes(), changes);
}

BENCHMARK_CAPTURE(first, exact, false)->Unit(benchmark::kMicrosecond)->Iterations(3);
BENCHMARK_CAPTURE(first, sampled, true)->Unit(benchmark::kMicrosecond)->Iterations(3);
BENCHMARK_CAPTURE(next, all_changed_exact, false, kSites)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK_CAPTURE(next, all_changed_sampled, true, kSites)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK_CAPTURE(next, some_changed_exact, false, 100)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK_CAPTURE(next, some_changed_sampled, true, 100)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK_CAPTURE(next, nothing_changed_exact, false, 0)->Unit(benchmark::kMicrosecond)->Iterations(20);
BENCHMARK_CAPTURE(next, nothing_changed_sampled, true, 0)->Unit(benchmark::kMicrosecond)->Iterations(20);

}  // namespace
}  // namespace seep

BENCHMARK_MAIN();
