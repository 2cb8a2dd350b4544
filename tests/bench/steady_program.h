// SPDX-License-Identifier: Apache-2.0
//
// The recording of a steady program in a region: so many sites, of which some go on allocating. What a_day and snapshot
// encode. One thread; traces and counts are made, nothing is observed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "record/module_table.h"
#include "record/trace_table.h"

namespace seep {

inline constexpr uint64_t kSecondNs = 1'000'000'000;

class SteadyProgram {
 public:
  SteadyProgram(bool sampled, unsigned sites)
      : sampled_(sampled), region_(make_region({512 << 20, nullptr, nullptr, 0})) {
    region_.header().counters_bytes = sampled ? sizeof(CounterBlock) : kExactCounterBytes;
    region_.header().identity.sample_bytes = sampled ? 512 << 10 : 1;
    const uint8_t build_id[20] = {1};
    for (uint64_t module = 0; module < kModules; ++module) {
      const std::string path = "/usr/lib/x86_64-linux-gnu/libexample" + std::to_string(module) + ".so.1";
      (void)add_module(region_, {0x1000, module << 24, 1 << 20, build_id, sizeof build_id, path.c_str()}, 1, 1);
    }
    const char name[kThreadNameBytes] = "worker";
    thread_name_ = find_or_add_thread_name(region_, name);
    for (uint64_t site = 0; site < sites; ++site) {
      traces_.push_back(make_trace(site));
      allocate(traces_.back(), 1 + random_() % 1000);
    }
  }

  // `changes` of the first `busy_sites` allocate in this second, those that follow in the next.
  void live_a_second(uint64_t second, unsigned changes, unsigned busy_sites) {
    now_ns_ = (second + 1) * kSecondNs;
    for (uint64_t i = 0; i < changes; ++i) {
      allocate(traces_[(second * changes + i) % busy_sites], 1 + random_() % 30);
    }
  }

  [[nodiscard]] Region region() const { return region_; }
  [[nodiscard]] uint64_t now_ns() const { return now_ns_; }

 private:
  static constexpr unsigned kModules = 30, kFrames = 25;

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

}  // namespace seep
