// SPDX-License-Identifier: Apache-2.0
//
// A program that allocates and frees at random, as its region shows it, and the stream that the encoder writes about
// it: for the tests of what reads streams, and the seeds of the fuzzers. The same for the same seed. One thread.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "record/module_table.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {

// A program that allocates and frees at random, and the stream that the encoder writes of it.
class RandomProgram {
 public:
  // A snapshot's time sees allocations of at most `most_sites`.
  explicit RandomProgram(unsigned seed, bool sampled = false, unsigned most_sites = 60)
      : region_(256 << 20, sampled), random_(seed), most_sites_(most_sites) {
    header().identity.pid = 4711;
  }

  void snapshot(const EndFacts* end = nullptr) {
    act();
    const StreamSink sink{[](void* context, const void* data, size_t bytes) {
                            auto& program = *static_cast<RandomProgram*>(context);
                            if (program.stream.size() + bytes > program.refuse_after) return false;
                            program.stream.append(static_cast<const char*>(data), bytes);
                            return true;
                          },
                          this};
    time_ns_ += 1'000'000'000;
    written_ = encode_snapshot(region_.get(), *scratch_, sink, SnapshotKind::kInterval, time_ns_, end);
    ends.push_back(stream.size());
  }
  void snapshots(unsigned count) {
    while (count-- > 0) snapshot();
  }
  bool written() const { return written_; }
  Region region() const { return region_.get(); }
  RegionHeader& header() { return region_.get().header(); }

  std::string stream;
  std::vector<size_t> ends;  // Of the groups.
  size_t refuse_after = SIZE_MAX;

 private:
  void act() {
    TraceTable table(region_.get());
    const uint64_t sites = 1 + random_() % most_sites_;
    for (uint64_t i = 0; i < sites; ++i) {
      const uint64_t site = random_() % (20 + time_ns_ / 100'000'000);
      const uint32_t depth = 1 + static_cast<uint32_t>(site % 40);
      std::vector<Frame> frames;
      for (uint32_t frame = 0; frame < depth; ++frame) frames.push_back(make_frame(1, frame < 3 ? site : frame));
      Trace& trace = *region_.get().at<Trace>(table.find_or_insert(frames.data(), depth, Cut::kWhole, time_ns_));
      const bool sampled = header().counters_bytes == sizeof(CounterBlock);
      const Weight weight = sample_weight(site, 512 << 10);
      CounterBlock& shard = *table.shard(trace, static_cast<unsigned>(random_() % kShards));
      count_allocation(shard, site, time_ns_, sampled ? &weight : nullptr);
      if (random_() % 2) count_free(shard, site, time_ns_, time_ns_ + 1, true, sampled ? &weight : nullptr);
      char name[kThreadNameBytes] = "thread ";
      name[7] = static_cast<char>('a' + random_() % 20);
      table.note_peak(trace, nullptr, site);
      table.note_thread_name(trace, find_or_add_thread_name(region_.get(), name));
    }
    const std::string path = "/lib/" + std::to_string(random_() % 50) + ".so";
    const uint8_t build_id[] = {1, 2, 3};
    (void)add_module(region_.get(), {0, random_(), 0x1000, build_id, 3, path.c_str()}, 1, 1);
  }

  TestRegion region_;
  std::mt19937_64 random_;
  unsigned most_sites_;
  std::unique_ptr<EncoderScratch> scratch_ = std::make_unique<EncoderScratch>();
  uint64_t time_ns_ = 0;
  bool written_ = false;
};

}  // namespace seep
