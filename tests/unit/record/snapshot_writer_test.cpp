// SPDX-License-Identifier: Apache-2.0
//
// The stream's file over the life of a recording, with all that others may do to it meanwhile. What it then holds is
// read with plain libprotobuf.
#include "record/snapshot_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "encoded_stream.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {
namespace {

class SnapshotWriter : public testing::Test {
 protected:
  SnapshotWriter() {
    char pattern[] = "/tmp/seep-snapshot-writer-test.XXXXXX";
    directory = mkdtemp(pattern);
    stream = directory + "/out/a.seep";
    strcpy(header().identity.stream_path, stream.c_str());
    memset(header().identity.recording_id, 0xA5, sizeof Identity::recording_id);
  }
  ~SnapshotWriter() override { std::filesystem::remove_all(directory); }

  RegionHeader& header() { return region.get().header(); }
  bool write(SnapshotKind kind = SnapshotKind::kInterval) {
    return write_snapshot(region.get(), *scratch, "", kind, ++time_ns, nullptr);
  }
  void allocate(uint64_t number) {
    const Frame frame = make_frame(1, number);
    TraceTable table(region.get());
    const Ref ref = table.find_or_insert(&frame, 1, Cut::kWhole, 55);
    count_allocation(*table.shard(*region.get().at<Trace>(ref), 0), 8, 0, nullptr);
  }
  [[nodiscard]] uint64_t failed_writes() { return header().loss[static_cast<unsigned>(LossKind::kFailedWrite)].load(); }
  // The file is whole, and its last snapshot has so many traces, all of which it names.
  void expect_complete(const std::string& path, unsigned traces) {
    const auto messages = messages_of(contents_of(path));
    ASSERT_FALSE(messages.empty());
    EXPECT_TRUE(messages.front().has_header());
    uint64_t sequence = 0;
    unsigned named = 0;
    for (const auto& message : messages) {
      EXPECT_EQ(message.sequence(), sequence++);
      named += static_cast<unsigned>(message.traces().traces_size());
    }
    EXPECT_EQ(messages.back().snapshot().traces(), traces);
    EXPECT_GE(named, traces);
  }

  std::string directory, stream;
  TestRegion region;
  std::unique_ptr<EncoderScratch> scratch = std::make_unique<EncoderScratch>();
  uint64_t time_ns = 0;
};

TEST_F(SnapshotWriter, MakesTheFileThenAppendsWhatChanged) {
  allocate(1);
  ASSERT_TRUE(write());
  const uint64_t first = std::filesystem::file_size(stream);
  EXPECT_EQ(header().stream.now.bytes, first);
  EXPECT_EQ(header().last_snapshot_ns.load(), 1u);
  allocate(2);
  ASSERT_TRUE(write());
  EXPECT_EQ(header().stream.now.bytes, std::filesystem::file_size(stream));
  EXPECT_LT(std::filesystem::file_size(stream) - first, first);
  expect_complete(stream, 2);
  EXPECT_EQ(failed_writes(), 0u);
}

TEST_F(SnapshotWriter, ARemovedFileIsMadeAnewWithEverything) {
  allocate(1);
  ASSERT_TRUE(write());
  std::filesystem::remove(stream);
  allocate(2);
  ASSERT_TRUE(write());
  expect_complete(stream, 2);
  EXPECT_EQ(failed_writes(), 1u);
}

TEST_F(SnapshotWriter, AFileThatTookItsNameIsLeftAlone) {
  allocate(1);
  ASSERT_TRUE(write());
  std::filesystem::rename(stream, stream + ".old");
  std::ofstream(stream) << "somebody else's";
  allocate(2);
  ASSERT_TRUE(write());
  EXPECT_EQ(contents_of(stream), "somebody else's");
  expect_complete(directory + "/out/a.2.seep", 2);
  expect_complete(stream + ".old", 1);
}

TEST_F(SnapshotWriter, AnEmptiedFileBeginsAnew) {
  allocate(1);
  ASSERT_TRUE(write());
  std::filesystem::resize_file(stream, 0);
  allocate(2);
  ASSERT_TRUE(write());
  expect_complete(stream, 2);
  EXPECT_EQ(failed_writes(), 1u);
}

// Wherever it was cut: what is whole before that stays, half a message goes, and behind it everything is said again.
TEST_F(SnapshotWriter, BehindACutEverythingIsSaidAgain) {
  allocate(1);
  ASSERT_TRUE(write());
  const uint64_t first = std::filesystem::file_size(stream);
  allocate(2);
  ASSERT_TRUE(write());
  const std::string whole = contents_of(stream);
  uint64_t losses = 0;
  for (size_t cut_at = 64; cut_at < whole.size(); cut_at += 7) {
    std::ofstream(stream, std::ios::trunc | std::ios::binary) << whole.substr(0, cut_at);
    header().stream.now.bytes = whole.size();
    ASSERT_TRUE(write());
    expect_complete(stream, 2);
    const auto messages = messages_of(contents_of(stream));
    EXPECT_EQ(messages.back().snapshot().changed_counters(), 2u);
    EXPECT_EQ(messages[3].has_snapshot() && messages[3].snapshot().number() == 1, cut_at >= first) << cut_at;
    EXPECT_EQ(failed_writes(), ++losses);
  }
}

// Who dies while he appends leaves more than the region knows of.
TEST_F(SnapshotWriter, WhatWasNotFinishedIsTakenAway) {
  allocate(1);
  ASSERT_TRUE(write());
  std::ofstream(stream, std::ios::app) << "half a message";
  allocate(2);
  ASSERT_TRUE(write());
  expect_complete(stream, 2);
}

// Killed between making its file and the first byte in it: whoever folds takes that file, not another.
TEST_F(SnapshotWriter, AnEmptyFileOfADeadProcessIsTakenOver) {
  allocate(1);
  std::filesystem::create_directories(directory + "/out");
  std::ofstream{stream};
  ASSERT_TRUE(write(SnapshotKind::kPostMortem));
  expect_complete(stream, 1);
  EXPECT_FALSE(std::filesystem::exists(directory + "/out/a.2.seep"));
}

TEST_F(SnapshotWriter, AnEmptyFileOfALivingOneIsNot) {
  allocate(1);
  std::filesystem::create_directories(directory + "/out");
  std::ofstream{stream};
  ASSERT_TRUE(write());
  EXPECT_EQ(std::filesystem::file_size(stream), 0u);
  expect_complete(directory + "/out/a.2.seep", 1);
}

// Somebody outside said that he would write, made the file, and was killed.
TEST_F(SnapshotWriter, AnEmptyFileOfADeadHelperIsTakenOver) {
  allocate(1);
  std::filesystem::create_directories(directory + "/out");
  std::ofstream{stream};
  header().progress.write_everything = 1;
  ASSERT_TRUE(write());
  expect_complete(stream, 1);
  EXPECT_FALSE(std::filesystem::exists(directory + "/out/a.2.seep"));
}

// Killed in the middle of its first snapshot.
TEST_F(SnapshotWriter, AStreamThatWasOnlyBegunIsWrittenAnew) {
  allocate(1);
  ASSERT_TRUE(write());
  header().stream.now.bytes = 0;  // As the region was before that snapshot was finished.
  header().stream.now.next_sequence = 0;
  header().progress.write_everything = 1;
  ASSERT_TRUE(write(SnapshotKind::kPostMortem));
  expect_complete(stream, 1);
}

TEST_F(SnapshotWriter, WhatDoesNotFitLeavesTheFileAsItWas) {
  allocate(1);
  ASSERT_TRUE(write());
  const std::string before = contents_of(stream);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  rlimit small = limit;
  small.rlim_cur = before.size() + 5;
  setrlimit(RLIMIT_FSIZE, &small);
  allocate(2);
  const bool written = write();
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_FALSE(written);
  EXPECT_EQ(contents_of(stream), before);
  EXPECT_EQ(failed_writes(), 1u);
  ASSERT_TRUE(write());
  expect_complete(stream, 2);
  const auto messages = messages_of(contents_of(stream));
  EXPECT_EQ(messages.back().snapshot().number(), 2u);
}

TEST_F(SnapshotWriter, AFileThatNothingFitsIntoIsNotLeftBehind) {
  strcpy(header().identity.region_path, "/dev/shm/has-it-all");
  allocate(1);
  std::filesystem::create_directories(directory + "/out");
  std::ofstream(stream) << "somebody else's";
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  rlimit small = limit;
  small.rlim_cur = 5;
  setrlimit(RLIMIT_FSIZE, &small);
  const bool first = write(), second = write();
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_FALSE(first || second);
  EXPECT_FALSE(std::filesystem::exists(directory + "/out/a.2.seep"));
  ASSERT_TRUE(write());
  expect_complete(directory + "/out/a.2.seep", 1);
}

TEST_F(SnapshotWriter, WithoutADirectoryItFailsAndSaysSo) {
  strcpy(header().identity.stream_path, "/proc/no/such/a.seep");
  allocate(1);
  EXPECT_FALSE(write());
  header().identity.stream_path[0] = '\0';
  EXPECT_FALSE(write());
  EXPECT_EQ(header().stream.now.inode, 0u);
  EXPECT_EQ(failed_writes(), 2u);
  strcpy(header().identity.stream_path, stream.c_str());
  ASSERT_TRUE(write());
  expect_complete(stream, 1);
}

}  // namespace
}  // namespace seep
