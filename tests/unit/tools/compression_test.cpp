// SPDX-License-Identifier: Apache-2.0
// The replacement of a file by its compressed one, with all that can stand in its way, and which streams are finished.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "compression/finished_streams.h"
#include "compression/recording_compression.h"
#include "compression/stream_compression.h"
#include "recording/stream_listing.h"
#include "test_compression.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::another_recording;
using testing::decompressed;
using testing::small_recording;
using testing::stream_of;
using testing::TemporaryDirectory;
using testing::zstd_frame;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> names_in(const TemporaryDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory.path())) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

using Names = std::vector<std::string>;

TEST(CompressStream, PutsAPrivateFileOfTheSameTimeInItsPlace) {
  const TemporaryDirectory directory;
  const std::string stream = stream_of(small_recording());
  const std::string path = directory.write("a.7.seep", stream);
  chmod(path.c_str(), 0644);
  constexpr uid_t kNobody = 65534;
  const uid_t owner = geteuid() == 0 ? kNobody : geteuid();  // Root's own it does not become.
  ASSERT_EQ(chown(path.c_str(), owner, static_cast<gid_t>(-1)), 0);
  const timespec times[2] = {{1'500'000'000, 5}, {1'600'000'000, 7}};
  utimensat(AT_FDCWD, path.c_str(), times, 0);
  directory.write(".a.7.seep.part", "left by one that was killed");
  const CompressedStream made = compress_stream(path);
  EXPECT_EQ(made.path, path + ".zst");
  EXPECT_EQ(made.bytes_before, stream.size());
  EXPECT_EQ(names_in(directory), Names{"a.7.seep.zst"});
  EXPECT_EQ(decompressed(contents(made.path)).bytes, stream);
  struct stat status;
  ASSERT_EQ(stat(made.path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(status.st_uid, owner);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'600'000'000);
  EXPECT_EQ(status.st_mtim.tv_nsec, 7);
  EXPECT_EQ(made.bytes_after, static_cast<uint64_t>(status.st_size));

  restore_stream(made.path, "b.seep");
  EXPECT_EQ(names_in(directory), Names{"b.seep"});
  EXPECT_EQ(contents(directory.path("b.seep")), stream);
}

TEST(CompressStream, ReplacesItsOwnCopyAndNothingElse) {
  const TemporaryDirectory directory;
  const std::string path = directory.write("a.seep", stream_of(small_recording()));
  directory.write("a.seep.zst", zstd_frame(stream_of(small_recording())) + "of an earlier try");
  EXPECT_EQ(compress_stream(path).path, path + ".zst");
  EXPECT_EQ(decompressed(contents(path + ".zst")).bytes, stream_of(small_recording()));

  directory.write("a.seep", stream_of(another_recording()));
  directory.write("a.2.seep.zst", "somebody else's");
  EXPECT_EQ(compress_stream(path).path, directory.path("a.3.seep.zst"));
  EXPECT_EQ(names_in(directory), (Names{"a.2.seep.zst", "a.3.seep.zst", "a.seep.zst"}));
  EXPECT_EQ(contents(directory.path("a.2.seep.zst")), "somebody else's");

  directory.write("a.seep", "");
  fs::remove(path);
  fs::create_symlink(directory.path("a.2.seep.zst"), path);
  EXPECT_THROW(compress_stream(path), Error);
  EXPECT_TRUE(fs::is_symlink(path));
}

TEST(CompressStream, LeavesAllAsItWasWhereItCannotBeDone) {
  const TemporaryDirectory directory;
  const std::string stream = stream_of(small_recording());
  const std::string path = directory.write("a.seep", stream);
  {
    FileSource somebody(path);
    ASSERT_EQ(flock(somebody.descriptor(), LOCK_EX), 0);
    EXPECT_THROW(compress_stream(path), Error);
  }
  fs::create_directory(directory.path(".a.seep.part"));
  EXPECT_THROW(compress_stream(path), Error);
  fs::remove(directory.path(".a.seep.part"));
  // What the reader would not read again is not written.
  const std::string bomb = directory.write("bomb.seep", stream + std::string(100 << 20, '\0'));
  EXPECT_THROW(compress_stream(bomb), Error);
  EXPECT_EQ(fs::file_size(bomb), stream.size() + (100 << 20));
  fs::remove(bomb);
  EXPECT_EQ(names_in(directory), Names{"a.seep"});
  EXPECT_EQ(contents(path), stream);
}

TEST(CompressStream, RestoresOnlyWhatIsWholeAndOverNothing) {
  const TemporaryDirectory directory;
  const std::string file = zstd_frame(stream_of(small_recording()));
  const std::string path = directory.write("a.seep.zst", file.substr(0, file.size() - 1));
  EXPECT_THROW(restore_stream(path, "a.seep"), Error);
  EXPECT_EQ(names_in(directory), Names{"a.seep.zst"});
  directory.write("a.seep.zst", file);
  directory.write("a.seep", "somebody else's");
  EXPECT_THROW(restore_stream(path, "a.seep"), Error);
  EXPECT_EQ(names_in(directory), (Names{"a.seep", "a.seep.zst"}));
}

// A stream without an End, of a process of this machine.
std::vector<proto::Message> unended(proto::Message header) {
  auto messages = small_recording();
  messages[0] = std::move(header);
  messages.pop_back();
  return messages;
}

TEST(FinishedStreams, AreThoseThatNobodyWritesInto) {
  const TemporaryDirectory directory;
  LivenessJudge judge;
  const auto why = [&](const std::vector<proto::Message>& messages) {
    return why_not_finished(directory.write("a.seep", stream_of(messages)), judge).value_or("");
  };
  const proto::Message own = testing::own_header_message();
  EXPECT_EQ(why(small_recording()), "");
  EXPECT_EQ(why(unended(own)), "still running");
  proto::Message dead = own;
  dead.mutable_header()->set_process_start_ticks(own.header().process_start_ticks() + 1);
  EXPECT_EQ(why(unended(dead)), "");
  proto::Message elsewhere = dead;
  elsewhere.mutable_header()->set_pid_namespace(own.header().pid_namespace() + 1);
  EXPECT_EQ(why(unended(elsewhere)), "it cannot be decided here whether its process still runs");
  elsewhere.mutable_header()->set_boot_id("another boot's id");
  elsewhere.mutable_header()->set_host("another machine");
  EXPECT_EQ(why(unended(elsewhere)), "it cannot be decided here whether its process still runs");
  char host[256] = {};
  ASSERT_EQ(gethostname(host, sizeof host - 1), 0);
  elsewhere.mutable_header()->set_host(host);
  EXPECT_EQ(why(unended(elsewhere)), "") << "this machine was started anew since";

  auto went_on = small_recording();
  went_on[0] = own;
  went_on.push_back(testing::snapshot_message());
  EXPECT_EQ(why(went_on), "still running") << "an End that something follows was written before an exec that failed";
  auto folded = unended(elsewhere);
  folded[4].mutable_snapshot()->set_kind(proto::Snapshot::POST_MORTEM);
  EXPECT_EQ(why(folded), "");
  EXPECT_THROW(why_not_finished(directory.write("b.seep", "nonsense"), judge), Error);
}

TEST(RecordingCompression, SaysWhatItDid) {
  const TemporaryDirectory directory;
  directory.write("a.seep", stream_of(small_recording()));
  directory.write("b.seep.zst", zstd_frame(stream_of(another_recording())));
  directory.write("c.seep", stream_of(unended(testing::own_header_message())));
  directory.write("d.seep", "nonsense");
  directory.write("notes.txt", "nothing of ours");
  RecordingCompression compression;
  compression.add(directory.path());
  EXPECT_EQ(names_in(directory), (Names{"a.seep.zst", "b.seep.zst", "c.seep", "d.seep", "notes.txt"}));
  ASSERT_EQ(compression.left().size(), 1u);
  EXPECT_EQ(compression.left()[0], directory.path("c.seep") + ": left as it is: still running");
  ASSERT_EQ(compression.problems().size(), 1u);
  EXPECT_EQ(compression.problems()[0].path(), directory.path("d.seep"));
  const std::string summary = compression.summary();
  EXPECT_TRUE(summary.starts_with("1 stream compressed: ")) << summary;
  EXPECT_TRUE(summary.ends_with("; 1 left as it is; 1 could not be; 1 was compressed already")) << summary;
}

}  // namespace
}  // namespace seep
