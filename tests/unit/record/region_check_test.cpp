// SPDX-License-Identifier: Apache-2.0
//
// Damaged copies of a region: every one must come out readable by the encoder, or refused, and what the damage does not
// touch must come out as it was; run under the address sanitizer too.
#include "record/region_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "encoded_stream.h"
#include "record/module_table.h"
#include "record/snapshot_encoder.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {
namespace {

struct FreeDeleter {
  void operator()(void* memory) const { free(memory); }
};
using Copy = std::unique_ptr<char, FreeDeleter>;

class RegionCheckTest : public testing::Test {
 protected:
  RegionCheckTest() {
    Region made = region.get();
    made.header().ready.store(1);
    const uint8_t build_id[] = {1, 2, 3, 4};
    (void)add_module(made, {0, 0x1000, 0x1000, build_id, 4, "/lib/a.so"}, 1, 1);
    const char name[kThreadNameBytes] = "main";
    (void)find_or_add_thread_name(made, name);
    TraceTable table(made);
    for (uint64_t i = 0; i < 20; ++i) {
      const Frame frames[] = {make_frame(1, i), make_frame(1, i + 1), make_frame(1, 7)};
      Trace& trace = *made.at<Trace>(table.find_or_insert(frames, 3, Cut::kWhole, i));
      count_allocation(table.shard(trace, static_cast<unsigned>(i % kShards)), i, 0, nullptr);
    }
    bytes = made.header().used_bytes.load();
  }

  Copy copy() const {
    Copy made(static_cast<char*>(malloc(bytes)));
    memcpy(made.get(), &region.get().header(), bytes);
    return made;
  }

  // How many allocations the encoder finds in a copy; -1 where it fails.
  static int64_t blocks_in(char* made) {
    auto scratch = std::make_unique<EncoderScratch>();
    uint64_t written = 0;
    const StreamSink sink{[](void* context, const void*, size_t count) {
                            *static_cast<uint64_t*>(context) += count;
                            return true;
                          },
                          &written};
    if (!encode_snapshot(Region(made), *scratch, sink, SnapshotKind::kPostMortem, 1, nullptr)) return -1;
    return static_cast<int64_t>(written);
  }

  TestRegion region{8 << 20};
  uint64_t bytes = 0;
};

TEST_F(RegionCheckTest, AWholeCopyIsSound) {
  Copy made = copy();
  const RegionCheck check = check_region(made.get(), bytes);
  EXPECT_TRUE(check.usable);
  EXPECT_STREQ(check.problem, "");
  EXPECT_GT(blocks_in(made.get()), 0);
}

TEST_F(RegionCheckTest, WhatIsNoRegionIsRefusedByName) {
  Copy made = copy();
  EXPECT_FALSE(check_region(made.get(), sizeof(RegionHeader) - 1).usable);
  made.get()[0] = 'x';
  EXPECT_FALSE(check_region(made.get(), bytes).usable);
  made = copy();
  reinterpret_cast<RegionHeader*>(made.get())->ready.store(0);
  EXPECT_STRNE(check_region(made.get(), bytes).problem, "");
}

// Every word, set to values that lead astray. The encoder must come to an end on each.
TEST_F(RegionCheckTest, AnyDamagedWordIsSurvived) {
  for (size_t word = 0; word < bytes / 8; ++word) {
    for (const uint64_t value : {uint64_t{0}, ~uint64_t{0}, uint64_t{sizeof(RegionHeader) / 16}, uint64_t{bytes / 16},
                                 uint64_t{0x1234567812345678}}) {
      Copy made = copy();
      memcpy(made.get() + word * 8, &value, 8);
      if (check_region(made.get(), bytes).usable) (void)blocks_in(made.get());
    }
  }
}

TEST_F(RegionCheckTest, RandomBytesAreSurvived) {
  std::mt19937_64 random(9);
  for (int round = 0; round < 20'000; ++round) {
    Copy made = copy();
    for (int i = 0; i < 8; ++i) made.get()[random() % bytes] = static_cast<char>(random());
    if (check_region(made.get(), bytes).usable) (void)blocks_in(made.get());
  }
}

TEST_F(RegionCheckTest, AListThatLeadsBackIsCut) {
  Copy made = copy();
  RegionHeader& header = *reinterpret_cast<RegionHeader*>(made.get());
  const Region view(made.get());
  Trace* oldest = view.at<Trace>(header.newest[0].trace.load());
  while (oldest->next_older != 0) oldest = view.at<Trace>(oldest->next_older);
  oldest->next_older = header.newest[0].trace.load();
  const RegionCheck check = check_region(made.get(), bytes);
  EXPECT_TRUE(check.usable);
  EXPECT_STREQ(check.problem, "a trace");
  EXPECT_GT(blocks_in(made.get()), 0);
}

// What a reader learns of each trace: its frames and its counters, as they are said first.
using Learned = std::map<uint32_t, std::pair<std::string, std::string>>;

Learned learned_from(const std::vector<proto::Message>& messages) {
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
      if (text.empty()) text = counters.SerializeAsString();
    }
  }
  return learned;
}

// Bytes of the header that decide whether it is a region at all.
bool is_of_its_kind(size_t at) { return at < offsetof(RegionHeader, snapshot_owner); }

// Bytes of the header that decide whether any trace is found in it.
bool leads_to_entries(size_t at) {
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
      count_allocation(table.shard(trace, 0), i, 0, nullptr);
      count_allocation(table.shard(trace, static_cast<unsigned>(1 + i % 3)), 100 + i, 0, nullptr);
      table.note_allocation(trace, i, name_id);
    }
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
    for (auto& shard : trace.extra_shards) {
      if (shard.load() != 0) claim(shard.load(), kExactCounterBytes);
    }
    ids_by_age.push_back(trace.id);
    const size_t at = ref * kRefUnitBytes;
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, next_older), sizeof trace.next_older, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, id), sizeof trace.id, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, frame_count), sizeof trace.frame_count, true);
    std::fill_n(leads_elsewhere.begin() + at + offsetof(Trace, extra_shards), sizeof trace.extra_shards, true);
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

TEST_F(SmallRegionTest, EveryFlippedByteLeavesTheTracesThatItIsNotOf) {
  ASSERT_EQ(whole.size(), size_t{kTraces});
  std::string copy = image();
  for (size_t at = 0; at < bytes; ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      const char right = copy[at];
      copy[at] = static_cast<char>(right ^ flip);
      const auto [check, messages] = read(copy);
      copy[at] = right;
      ASSERT_TRUE(check.usable || is_of_its_kind(at)) << "byte " << at;
      const Learned learned = learned_from(messages);
      for (int age = 0; age < kTraces; ++age) {
        const uint32_t id = ids_by_age[static_cast<size_t>(age)];
        ASSERT_TRUE(!is_out_of_reach(at, age) || (learned.contains(id) && learned.at(id) == whole.at(id)))
            << "byte " << at << ", trace " << id;
      }
    }
  }
}

TEST_F(SmallRegionTest, EveryTruncationKeepsTheTracesBeforeItAndNamesThatSomeAreMissing) {
  const std::string copy = image();
  for (size_t length = 0; length <= bytes; ++length) {
    const auto [check, messages] = read(copy.substr(0, length));
    ASSERT_EQ(check.usable, length >= sizeof(RegionHeader)) << length;
    const Learned learned = learned_from(messages);
    ASSERT_TRUE(learned.size() == whole.size() || *check.problem != '\0') << length;
    for (const auto& [id, known] : learned) ASSERT_TRUE(known == whole.at(id)) << length;
    for (int age = 0; check.usable && age < kTraces; ++age) {
      ASSERT_EQ(learned.contains(ids_by_age[static_cast<size_t>(age)]), is_before(length, age)) << length;
    }
  }
}

// The list may lead past traces that are there.
TEST_F(SmallRegionTest, ATraceThatTheListPassesOverIsFound) {
  std::string copy = image();
  const Region view(copy.data());
  Trace& newest = *view.at<Trace>(view.header().newest[0].trace.load());
  newest.next_older = view.at<Trace>(view.at<Trace>(newest.next_older)->next_older)->next_older;
  EXPECT_EQ(learned_from(read(copy).second), whole);
}

// Many traces, so that the ways to them lead over nodes of the trie.
class DeepTrieTest : public testing::Test {
 protected:
  static constexpr uint64_t kTraces = 6000;

  DeepTrieTest() {
    Region made = region.get();
    made.header().ready.store(1);
    TraceTable table(made);
    for (uint64_t i = 0; i < kTraces; ++i) {
      const Frame frame = make_frame(0, i);
      Trace& trace = *made.at<Trace>(table.find_or_insert(&frame, 1, Cut::kWhole, i));
      count_allocation(table.shard(trace, static_cast<unsigned>(i % 2)), i, 0, nullptr);
    }
    bytes = made.header().used_bytes.load();
  }

  // All that a trace consists of lies before the cut.
  bool is_before(uint64_t length, uint64_t number) const {
    const Frame frame = make_frame(0, number);
    const Ref ref = TraceTable(region.get()).find(&frame, 1, Cut::kWhole);
    const Ref shard = region.get().at<Trace>(ref)->extra_shards[0].load();
    const auto ends_before = [length](Ref from, uint64_t count) { return from * kRefUnitBytes + count <= length; };
    return ends_before(ref, sizeof(Trace) + kExactCounterBytes + sizeof(Frame)) &&
           (shard == 0 || ends_before(shard, kExactCounterBytes));
  }

  // So many of the oldest traces must be found: up to the newest that a lookup finds in a copy that is zeros behind the
  // cut, for it leads to all that are older.
  uint64_t oldest_in_reach(Region cut, uint64_t length) const {
    for (uint64_t number = kTraces; number > 0; --number) {
      const Frame frame = make_frame(0, number - 1);
      if (is_before(length, number - 1) && TraceTable(cut).find(&frame, 1, Cut::kWhole) != 0) return number;
    }
    return 0;
  }

  TestRegion region{64 << 20};
  uint64_t bytes = 0;
};

TEST_F(DeepTrieTest, ACutKeepsEachTraceBeforeItWithItsCounters) {
  for (uint64_t part = 1; part < 24; ++part) {
    const uint64_t length = sizeof(RegionHeader) + (bytes - sizeof(RegionHeader)) * part / 24 + 5 * part;
    Copy zeroed(static_cast<char*>(calloc(1, bytes)));
    memcpy(zeroed.get(), &region.get().header(), length);
    Copy cut(static_cast<char*>(malloc(length)));
    memcpy(cut.get(), zeroed.get(), length);
    const RegionCheck check = check_region(cut.get(), length);
    ASSERT_TRUE(check.usable);
    const Region view(cut.get());
    std::map<uint64_t, uint64_t> bytes_by_number;
    for (Ref ref = view.header().newest[0].trace.load(); ref != 0; ref = view.at<Trace>(ref)->next_older) {
      Trace& trace = *view.at<Trace>(ref);
      uint64_t& sum = bytes_by_number[frame_offset(trace.frames(view.header())[0])];
      TraceTable(view).each_shard(trace, [&](CounterBlock& shard) { sum += shard.alloc_bytes.load(); });
    }
    const uint64_t in_reach = oldest_in_reach(Region(zeroed.get()), length);
    EXPECT_GT(in_reach, kTraces * part / 24 * 9 / 10);
    for (uint64_t number = 0; number < in_reach; ++number) {
      if (!is_before(length, number)) continue;
      ASSERT_TRUE(bytes_by_number.contains(number)) << "trace " << number << ", cut at " << length;
      ASSERT_EQ(bytes_by_number[number], number);
    }
    EXPECT_GE(check.entries_lost, 1u);
  }
}

}  // namespace
}  // namespace seep
