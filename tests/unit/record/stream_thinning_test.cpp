// SPDX-License-Identifier: Apache-2.0
//
// A stream that is kept small while it grows, in its real file. That the numbers stay right is stream_thinner_test's.
#include "record/stream_thinning.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "encoded_stream.h"
#include "record/snapshot_writer.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {
namespace {

constexpr uint64_t kMostBytes = 64 << 10;
constexpr unsigned kTraces = 20;

class StreamThinningTest : public testing::Test {
 protected:
  StreamThinningTest() {
    char pattern[] = "/tmp/seep-thinning-test.XXXXXX";
    directory = mkdtemp(pattern);
    stream = directory + "/a.seep";
    strcpy(header().identity.stream_path, stream.c_str());
    header().identity.max_stream_bytes = kMostBytes;
    memset(header().identity.recording_id, 0xA5, sizeof Identity::recording_id);
  }
  ~StreamThinningTest() override { std::filesystem::remove_all(directory); }

  RegionHeader& header() { return region.get().header(); }

  // One steady second: each trace allocates once. Then a snapshot.
  void live_a_second() {
    TraceTable table(region.get());
    for (uint64_t number = 1; number <= kTraces; ++number) {
      const Frame frame = make_frame(1, number);
      const Ref ref = table.find_or_insert(&frame, 1, Cut::kWhole, 55);
      count_allocation(*table.shard(*region.get().at<Trace>(ref), 0), 8, 0, nullptr);
    }
    ASSERT_TRUE(write_snapshot(region.get(), *scratch, "", SnapshotKind::kInterval, ++seconds, nullptr));
  }
  void thin_a_slice(uint64_t bytes) {
    if (!thinning->active && wants_thinning(header())) {
      run_table.resize(StreamThinner::table_bytes(header().trace_count));
      ASSERT_TRUE(begin_thinning(region.get(), *thinning, "", run_table.data(), run_table.size()));
      ++passes;
    }
    continue_thinning(region.get(), *thinning, "", bytes);
  }
  // Whole, from the first second to the last, with the newest numbers, and no snapshot unaccounted for.
  void expect_good() {
    const auto messages = messages_of(contents_of(stream));
    uint64_t sequence = 0, snapshots = 0;
    std::map<uint32_t, uint64_t> alloc_blocks;
    for (const auto& message : messages) {
      ASSERT_EQ(message.sequence(), sequence++);
      if (message.has_snapshot() && snapshots == 0) {
        ASSERT_EQ(message.snapshot().number(), 1u);
      }
      snapshots += message.has_snapshot();
      for (const auto& counters : message.counters().counters()) {
        alloc_blocks[counters.trace_id()] = counters.alloc_blocks();
      }
    }
    ASSERT_EQ(messages.back().snapshot().number(), seconds);
    ASSERT_EQ(snapshots + messages.back().snapshot().thinned_snapshots(), seconds);
    ASSERT_EQ(alloc_blocks.size(), kTraces);
    for (const auto& [trace, blocks] : alloc_blocks) ASSERT_EQ(blocks, seconds);
  }

  std::string directory, stream;
  TestRegion region;
  std::unique_ptr<EncoderScratch> scratch = std::make_unique<EncoderScratch>();
  std::unique_ptr<StreamThinning> thinning = std::make_unique<StreamThinning>();
  std::vector<char> run_table;
  uint64_t seconds = 0;
  unsigned passes = 0;
};

TEST_F(StreamThinningTest, StaysBelowItsBoundAndReadableForever) {
  uint64_t longest = 0;
  for (int i = 0; i < 3000; ++i) {
    live_a_second();
    thin_a_slice(16 << 10);
    longest = std::max(longest, std::filesystem::file_size(stream));
    if (i % 97 == 0) {
      live_a_second();  // The snapshot that says how many were thinned.
      expect_good();
    }
  }
  EXPECT_GT(passes, 5u);
  EXPECT_LT(longest, kMostBytes * 5 / 4);
  live_a_second();
  expect_good();
}

TEST_F(StreamThinningTest, WithoutABoundNothingIsThinned) {
  header().identity.max_stream_bytes = 0;
  for (int i = 0; i < 100; ++i) live_a_second();
  EXPECT_FALSE(wants_thinning(header()));
}

// Who renamed it died before he could say so: the next one knows the new file by what was said before.
TEST_F(StreamThinningTest, ADeathBehindTheRenameLosesNothing) {
  while (!wants_thinning(header())) live_a_second();
  thin_a_slice(UINT64_MAX);
  ASSERT_FALSE(thinning->active);
  ASSERT_NE(header().stream.replacement.inode, header().stream.now.inode);
  live_a_second();
  expect_good();
  EXPECT_FALSE(std::filesystem::exists(directory + "/a.2.seep"));
}

TEST_F(StreamThinningTest, ADeathBeforeTheRenameLosesNothing) {
  while (!wants_thinning(header())) live_a_second();
  thin_a_slice(1);
  ASSERT_TRUE(thinning->active);
  ASSERT_TRUE(std::filesystem::exists(stream + ".thinned"));
  // As it would be if the rename had failed at the last moment.
  header().stream.replacement = {4711, 1, 1, 1};
  live_a_second();
  expect_good();
  // Another one begins anew over the remains.
  header().stream.bytes_after_thinning = 0;
  thinning->active = false;
  thin_a_slice(UINT64_MAX);
  live_a_second();
  expect_good();
  EXPECT_FALSE(std::filesystem::exists(stream + ".thinned"));
}

TEST_F(StreamThinningTest, AbandonedItLeavesTheStreamAsItIs) {
  while (!wants_thinning(header())) live_a_second();
  thin_a_slice(1);
  abandon_thinning(region.get(), *thinning, "");
  EXPECT_FALSE(std::filesystem::exists(stream + ".thinned"));
  live_a_second();
  expect_good();
}

// Somebody exchanges a file between two slices: the pass is given up, the stranger's file stays.
TEST_F(StreamThinningTest, AnotherFileInThePlaceOfEitherIsNoticed) {
  while (!wants_thinning(header())) live_a_second();
  thin_a_slice(1);
  std::filesystem::rename(stream + ".thinned", stream + ".kept");
  std::ofstream(stream + ".thinned") << "a stranger's";
  continue_thinning(region.get(), *thinning, "", UINT64_MAX);
  EXPECT_FALSE(thinning->active);
  live_a_second();
  expect_good();
}

}  // namespace
}  // namespace seep
