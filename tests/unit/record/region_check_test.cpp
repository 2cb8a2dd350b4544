// SPDX-License-Identifier: Apache-2.0
//
// Damaged copies of a region: every one must come out readable by the encoder, or refused, and what the damage does not
// touch must come out as it was; run under the address sanitizer too.
#include "record/region_check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include "../sanitizers.h"
#include "small_region.h"

namespace seep {
namespace {

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
    for (uint64_t i = 0; i < kTraces; ++i) {
      const Frame frames[] = {make_frame(1, i), make_frame(1, i + 1), make_frame(1, 7)};
      Trace& trace = *made.at<Trace>(table.find_or_insert(frames, 3, Cut::kWhole, i));
      count_allocation(*table.shard(trace, static_cast<unsigned>(i % kShards)), i, 0, nullptr);
      if (trace.next_older != 0) table.note_freeing(trace, trace.next_older);
    }
    add_scan(made, kTraces);
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

  static constexpr uint32_t kTraces = 20;

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
  for (size_t word = 0; word < bytes / 8; word += kEveryCase) {
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
  for (unsigned round = 0; round < 20'000 / kEveryCase; ++round) {
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

TEST_F(SmallRegionTest, EveryFlippedByteLeavesTheTracesThatItIsNotOf) {
  ASSERT_EQ(whole.size(), size_t{kTraces});
  std::string copy = image();
  for (size_t at = 0; at < bytes; at += kEveryCase) {
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
  for (size_t length = 0; length <= bytes; length += kEveryCase) {
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
      count_allocation(*table.shard(trace, static_cast<unsigned>(i % 2)), i, 0, nullptr);
    }
    bytes = made.header().used_bytes.load();
  }

  // All that a trace consists of lies before the cut.
  bool is_before(uint64_t length, uint64_t number) const {
    const Frame frame = make_frame(0, number);
    const Ref ref = TraceTable(region.get()).find(&frame, 1, Cut::kWhole);
    const Ref shard = region.get().at<Trace>(ref)->near_shards[0].load();
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
