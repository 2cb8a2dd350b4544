// SPDX-License-Identifier: Apache-2.0
//
// Damaged copies of a region: every one must come out readable by the encoder, or refused; run under the address
// sanitizer too.
#include "record/region_check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>

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

TEST_F(RegionCheckTest, ATornCopyKeepsWhatLiesBeforeTheTear) {
  for (uint64_t cut = sizeof(RegionHeader); cut < bytes; cut += 24) {
    Copy made(static_cast<char*>(malloc(cut)));
    memcpy(made.get(), &region.get().header(), cut);
    ASSERT_TRUE(check_region(made.get(), cut).usable);
    ASSERT_GE(blocks_in(made.get()), 0);
  }
}

// Every word outside the trie, set to values that lead astray. The encoder must come to an end on each.
TEST_F(RegionCheckTest, AnyDamagedWordIsSurvived) {
  const size_t entries = sizeof(RegionHeader) / 8;
  for (size_t word = 0; word < bytes / 8; ++word) {
    if (word * 8 >= offsetof(RegionHeader, trie_root) && word < entries) continue;
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

}  // namespace
}  // namespace seep
