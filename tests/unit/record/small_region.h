// SPDX-License-Identifier: Apache-2.0
//
// A region whose copies are damaged, for the tests of the check: small, with every part that an entry can have, and
// whose each byte is. One thread.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "encoded_stream.h"
#include "record/module_table.h"
#include "record/region_check.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {

struct FreeDeleter {
  void operator()(void* memory) const { free(memory); }
};
using Copy = std::unique_ptr<char, FreeDeleter>;

// A scan that stands, with room for the verdicts of so many traces: each has one definite block.
inline void add_scan(Region region, uint32_t capacity) {
  ScanState& scan = region.header().scan;
  ScanResult& result = scan.results[1];
  result.facts = {.number = 1, .trigger = ScanTrigger::kRequest, .time_ns = 5, .stop = ScanStop::kAlone};
  result.capacity = capacity;
  result.verdicts = region.allocate(capacity * sizeof(TraceVerdicts));
  for (uint32_t i = 0; i < capacity; ++i) {
    TraceVerdicts& verdicts = region.at<TraceVerdicts>(result.verdicts)[i];
    verdicts.blocks[static_cast<unsigned>(VerdictClass::kDefinite)] = 1;
    verdicts.bytes[static_cast<unsigned>(VerdictClass::kDefinite)] = 1000 + i;
  }
  scan.standing = 2;
}

// What a reader learns of each trace: its frames and its counters, as they are said first. Without what stands
// elsewhere: a scan's verdicts, and the number of the trace that frees its blocks.
using Learned = std::map<uint32_t, std::pair<std::string, std::string>>;

inline Learned learned_from(const std::vector<proto::Message>& messages) {
  Learned learned;
  for (const proto::Message& message : messages) {
    std::vector<std::string> previous;  // Frames, innermost first.
    for (const proto::Trace& trace : message.traces().traces()) {
      std::vector<std::string> frames;
      for (int i = 0; i < trace.modules_size(); ++i) {
        frames.push_back(std::to_string(trace.modules(i)) + "+" + std::to_string(trace.offsets(i)) + " ");
      }
      EXPECT_LE(trace.shared_outer_frames(), previous.size());
      frames.insert(frames.end(), previous.end() - trace.shared_outer_frames(), previous.end());
      std::string& text = learned[trace.id()].first;
      if (text.empty()) {
        for (const std::string& frame : frames) text += frame;
      }
      previous = frames;
    }
    for (const proto::TraceCounters& counters : message.counters().counters()) {
      std::string& text = learned[counters.trace_id()].second;
      proto::TraceCounters own = counters;
      own.clear_verdicts();
      own.clear_freed_by_trace_id();
      if (text.empty()) text = own.SerializeAsString();
    }
  }
  return learned;
}

// Bytes of the header that decide whether it is a region at all.
inline bool is_of_its_kind(size_t at) { return at < offsetof(RegionHeader, snapshot_owner); }

// Bytes of the header that decide whether any trace is found in it.
inline bool leads_to_entries(size_t at) {
  const auto inside = [at](size_t from, size_t count) { return at >= from && at < from + count; };
  return inside(offsetof(RegionHeader, private_from_bytes), sizeof(uint64_t)) ||
         inside(offsetof(RegionHeader, newest) + offsetof(Newest, trace), sizeof(Ref));
}

// A few traces, with every part that an entry can have, and whose each byte is.
class SmallRegionTest : public testing::Test {
 protected:
  static constexpr int kTraces = 5, kNobody = -1;

  SmallRegionTest() {
    Region made = region.get();
    made.header().ready.store(1);
    const uint8_t build_id[] = {1, 2, 3, 4};
    (void)add_module(made, {0, 0x1000, 0x1000, build_id, 4, "/lib/a.so"}, 1, 1);
    const char name[kThreadNameBytes] = "main";
    const uint16_t name_id = find_or_add_thread_name(made, name);
    TraceTable table(made);
    std::vector<Ref> refs;
    for (uint64_t i = 0; i < kTraces; ++i) {
      const Frame frames[] = {make_frame(1, i), make_frame(1, i + 1), make_frame(1, 7)};
      refs.push_back(table.find_or_insert(frames, 3, Cut::kWhole, i));
      Trace& trace = *made.at<Trace>(refs.back());
      count_allocation(*table.shard(trace, 0), i, 0, nullptr);
      count_allocation(*table.shard(trace, static_cast<unsigned>(1 + i % 3)), 100 + i, 0, nullptr);
      table.note_peak(trace, nullptr, i);
      table.note_thread_name(trace, name_id);
      table.note_freeing(trace, refs.front());
    }
    add_scan(made, kTraces);
    bytes = made.header().used_bytes.load();
    owner.assign(bytes, kNobody);
    leads_elsewhere.assign(bytes, false);
    for (int age = 0; age < kTraces; ++age) note_owner(made, refs[static_cast<size_t>(kTraces - 1 - age)], age);
    whole = learned_from(read(image()).second);
  }

  void note_owner(Region made, Ref ref, int age) {
    Trace& trace = *made.at<Trace>(ref);
    const auto claim = [&](Ref from, size_t count) {
      for (size_t i = 0; i < count; ++i) owner[from * kRefUnitBytes + i] = age;
    };
    claim(ref, sizeof(Trace) + kExactCounterBytes + trace.frame_count * sizeof(Frame));
    for (auto& shard : trace.near_shards) {
      if (shard.load() != 0) claim(shard.load(), kExactCounterBytes);
    }
    ids_by_age.push_back(trace.id);
    const size_t at = ref * kRefUnitBytes;
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, next_older), sizeof trace.next_older, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, id), sizeof trace.id, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, frame_count), sizeof trace.frame_count, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, near_shards), sizeof trace.near_shards, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, shard_table), sizeof trace.shard_table, true);
  }

  std::string image() const { return {reinterpret_cast<const char*>(&region.get().header()), bytes}; }

  // What is wrong with a copy, and the messages that the encoder then makes of it; none where it is refused.
  std::pair<RegionCheck, std::vector<proto::Message>> read(const std::string& copy) {
    Copy made(static_cast<char*>(malloc(copy.size())));  // So that the sanitizer sees its end.
    memcpy(made.get(), copy.data(), copy.size());
    const RegionCheck check = check_region(made.get(), copy.size());
    if (!check.usable) return {check, {}};
    EncodedStream stream;
    EXPECT_TRUE(encode_snapshot(Region(made.get()), *scratch, stream.sink(), SnapshotKind::kPostMortem, 1, nullptr));
    EXPECT_LE(stream.bytes.size(), bytes);
    return {check, stream.messages()};
  }

  // Whether a trace must be read as it was when a byte says something else.
  bool is_out_of_reach(size_t at, int age) const {
    if (at < sizeof(RegionHeader)) return !is_of_its_kind(at) && !leads_to_entries(at);
    if (owner[at] == kNobody) return true;  // Modules and thread names: traces come first.
    return leads_elsewhere[at] ? age < owner[at] : age != owner[at];
  }

  // All that a trace consists of lies before `length`.
  bool is_before(size_t length, int age) const {
    return std::find(owner.begin() + static_cast<ptrdiff_t>(std::min<size_t>(length, bytes)), owner.end(), age) ==
           owner.end();
  }

  TestRegion region{8 << 20};
  std::unique_ptr<EncoderScratch> scratch = std::make_unique<EncoderScratch>();
  uint64_t bytes = 0;
  // The age of the trace that a byte belongs to, 0 being the newest; and whether, when the byte is wrong, the trace may
  // take an older one's memory or number.
  std::vector<int> owner;
  std::vector<bool> leads_elsewhere;
  std::vector<uint32_t> ids_by_age;  // The list's order: what follows damage is older.
  Learned whole;
};

}  // namespace seep
