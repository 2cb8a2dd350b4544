// SPDX-License-Identifier: Apache-2.0
// Recordings with compressed streams: what is said of a cut or damaged one, and which of two copies counts.
#include <gtest/gtest.h>

#include "launch/own_stream.h"
#include "recording/recording.h"
#include "recording/stream_listing.h"
#include "test_compression.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::another_recording;
using testing::frames_of;
using testing::joined;
using testing::small_recording;
using testing::stream_of;
using testing::TemporaryDirectory;
using testing::zstd_frame;

TEST(CompressedLoading, EveryMessageBeforeACutIsThereAndTheCutIsOneLine) {
  const TemporaryDirectory directory;
  const auto messages = small_recording();
  const std::vector<std::string> frames = frames_of(messages);
  std::string before;
  for (size_t whole = 1; whole < frames.size(); ++whole) {
    before += frames[whole - 1];
    // Of a frame that lacks but the end of its checksum all comes out.
    for (const auto& [more, read] : {std::pair{size_t{5}, whole}, std::pair{frames[whole].size() - 1, whole + 1}}) {
      const std::string path = directory.write("whatever", before + frames[whole].substr(0, more));
      const Recording recording = load_recording({path});
      ASSERT_EQ(recording.problems.size(), 1u);
      EXPECT_EQ(recording.problems[0].offset(), before.size() + more);
      ASSERT_EQ(recording.processes.size(), 1u);
      EXPECT_EQ(recording.processes[0]->next_sequence, read);
      EXPECT_TRUE(recording.processes[0]->compressed);
    }
  }
  const Recording whole = load_recording({directory.write("whole", joined(frames))});
  EXPECT_TRUE(whole.problems.empty());
  EXPECT_TRUE(whole.processes.at(0)->end());
}

TEST(CompressedLoading, DamageOfTheStreamIsNamedByItsOwnByte) {
  const TemporaryDirectory directory;
  std::string stream = stream_of(small_recording());
  const uint64_t header_bytes = encode_message(small_recording()[0], 0).size();
  stream[header_bytes + 20] = static_cast<char>(stream[header_bytes + 20] ^ 1);
  const Recording recording = load_recording({directory.write("a.seep.zst", zstd_frame(stream))});
  ASSERT_EQ(recording.problems.size(), 1u);
  EXPECT_EQ(recording.problems[0].offset(), std::nullopt);
  const std::string where = "at byte " + std::to_string(header_bytes) + " of what it decompresses to: is damaged";
  EXPECT_NE(std::string(recording.problems[0].what()).find(where), std::string::npos) << recording.problems[0].what();
}

TEST(CompressedLoading, OfOneThatIsNoRecordingSaysSo) {
  const TemporaryDirectory directory;
  for (const std::string& bytes :
       {zstd_frame("no recording"), zstd_frame(""), zstd_frame(std::string(1000, 'x')).substr(0, 9)}) {
    const Recording recording = load_recording({directory.write("a.seep.zst", bytes)});
    EXPECT_TRUE(recording.processes.empty());
    EXPECT_EQ(recording.problems.size(), 1u);
  }
}

TEST(CompressedLoading, OfTwoCopiesTheRawOneCountsAndOfTwoRecordingsBoth) {
  const TemporaryDirectory directory;
  const std::string raw = directory.write("a.seep", stream_of(small_recording()));
  const std::string copy = directory.write("a.seep.zst", frames_of(small_recording())[0] + "cut");
  EXPECT_EQ(streams_in(directory.path()), (std::vector{raw, copy}));
  EXPECT_EQ(streams_to_read(directory.path()), std::vector<std::string>{raw});
  const Recording one = load_recording({directory.path()});
  EXPECT_EQ(one.processes.size(), 1u);
  EXPECT_FALSE(one.processes.at(0)->compressed);
  EXPECT_TRUE(one.problems.empty()) << "the second copy is not looked at";

  directory.write("a.seep.zst", zstd_frame(stream_of(another_recording())));
  const Recording two = load_recording({directory.path()});
  EXPECT_EQ(two.processes.size(), 2u);
  EXPECT_TRUE(two.problems.empty());
}

TEST(CompressedLoading, OfARawOneThatSaysNothingTheCompressedOneCounts) {
  const TemporaryDirectory directory;
  directory.write("a.seep", "nonsense");
  directory.write("a.seep.zst", zstd_frame(stream_of(small_recording())));
  const Recording recording = load_recording({directory.path()});
  EXPECT_EQ(recording.processes.size(), 1u);
  EXPECT_EQ(recording.problems.size(), 1u);
}

TEST(CompressedLoading, TheRawNameIsStillUnderstood) {
  const TemporaryDirectory directory;
  directory.write("a.seep.zst", zstd_frame(stream_of(small_recording())));
  const Recording recording = load_recording({directory.path("a.seep")});
  EXPECT_TRUE(recording.problems.empty());
  ASSERT_EQ(recording.processes.size(), 1u);
  EXPECT_EQ(recording.processes[0]->stream_path(), directory.path("a.seep.zst"));
  EXPECT_EQ(load_recording({directory.path("b.seep")}).problems.size(), 1u);
}

TEST(CompressedLoading, NoEndIsPutToACompressedStream) {
  const TemporaryDirectory directory;
  auto messages = small_recording();
  messages.pop_back();
  messages[0].mutable_header()->set_pid_namespace(this_pid_namespace());
  const std::string file = zstd_frame(stream_of(messages));
  const std::string path = directory.write("server.seep.zst", file);
  finish_stream(directory.path(), {4242}, {.signalled = true, .signal = 9});
  EXPECT_EQ(fs::file_size(path), file.size());
}

}  // namespace
}  // namespace seep
