// SPDX-License-Identifier: Apache-2.0
//
// How large the stream of a day becomes: a steady program of 5,000 sites, of which 20 change each second, with one
// snapshot a second, by the real encoder. Prints megabytes a day and bytes for each site that changed, all included.
//   a_day [sampled]
// One thread; writes no file.
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "record/module_table.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"

namespace seep {
namespace {

constexpr unsigned kModules = 30, kSites = 5000, kBusySites = 200, kChangesASecond = 20, kFrames = 25;
constexpr uint64_t kSecondNs = 1'000'000'000, kSecondsADay = 86'400;

class SteadyProgram {
 public:
  explicit SteadyProgram(bool sampled) : sampled_(sampled), region_(make_region({512 << 20, nullptr, nullptr, 0})) {
    region_.header().counters_bytes = sampled ? sizeof(CounterBlock) : kExactCounterBytes;
    region_.header().identity.sample_bytes = sampled ? 512 << 10 : 1;
    const uint8_t build_id[20] = {1};
    for (uint64_t module = 0; module < kModules; ++module) {
      const std::string path = "/usr/lib/x86_64-linux-gnu/libexample" + std::to_string(module) + ".so.1";
      (void)add_module(region_, {0x1000, module << 24, 1 << 20, build_id, sizeof build_id, path.c_str()}, 1, 1);
    }
    const char name[kThreadNameBytes] = "worker";
    thread_name_ = find_or_add_thread_name(region_, name);
    for (uint64_t site = 0; site < kSites; ++site) {
      traces_.push_back(make_trace(site));
      allocate(traces_.back(), 1 + random_() % 1000);
    }
  }

  void live_a_second(uint64_t second) {
    now_ns_ = (second + 1) * kSecondNs;
    for (uint64_t i = 0; i < kChangesASecond; ++i) {
      allocate(traces_[(second * kChangesASecond + i) % kBusySites], 1 + random_() % 30);
    }
  }

  [[nodiscard]] Region region() const { return region_; }
  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }

 private:
  Ref make_trace(uint64_t site) {
    Frame frames[kFrames];  // The outer half is shared.
    for (uint32_t depth = 0; depth < kFrames; ++depth) {
      const uint64_t offset = depth > kFrames / 2 ? depth * 1000 : (site * 131 + depth * 977) % 2'000'000;
      frames[depth] = make_frame(static_cast<uint32_t>(1 + (depth * 7 + site / 500) % kModules), offset);
    }
    return TraceTable(region_).find_or_insert(frames, kFrames, Cut::kWhole, now_ns_);
  }

  void allocate(Ref ref, uint64_t blocks) {
    TraceTable table(region_);
    Trace& trace = *region_.at<Trace>(ref);
    for (uint64_t block = 0; block < blocks; ++block) {
      const uint64_t size_bytes = 16 + random_() % 500;
      const Weight weight = sample_weight(size_bytes, 512 << 10);
      const Weight* counted = sampled_ ? &weight : nullptr;
      count_allocation(*table.shard(trace, 0), size_bytes, now_ns_, counted);
      table.note_peak(trace, nullptr, size_bytes);
      table.note_thread_name(trace, thread_name_);
      if (random_() % 1000 == 0) continue;  // It leaks.
      const uint64_t freed_ns = now_ns_ + random_() % (3 * kSecondNs);
      count_free(*table.shard(trace, 0), size_bytes, now_ns_, freed_ns, random_() % 2 != 0, counted);
    }
  }

  bool sampled_;
  Region region_;
  std::mt19937_64 random_{1};
  std::vector<Ref> traces_;
  uint16_t thread_name_ = 0;
  uint64_t now_ns_ = 0;
};

int run(bool sampled) {
  SteadyProgram program(sampled);
  const auto scratch = std::make_unique<EncoderScratch>();
  uint64_t bytes = 0, first_bytes = 0;
  const auto count = [](void* context, const void*, size_t written) {
    *static_cast<uint64_t*>(context) += written;
    return true;
  };
  for (uint64_t second = 0; second < kSecondsADay; ++second) {
    program.live_a_second(second);
    const SnapshotKind kind = SnapshotKind::kInterval;
    if (!encode_snapshot(program.region(), *scratch, {count, &bytes}, kind, program.now_ns(), nullptr)) return 1;
    if (second == 0) first_bytes = bytes;
  }
  const double changes = static_cast<double>((kSecondsADay - 1) * kChangesASecond);
  std::printf("%s: %.1f MB a day, %.1f bytes a changed site\n", sampled ? "sampled" : "exact",
              static_cast<double>(bytes) / 1e6, static_cast<double>(bytes - first_bytes) / changes);
  return 0;
}

}  // namespace
}  // namespace seep

int main(int argc, char**) { return seep::run(argc > 1); }
