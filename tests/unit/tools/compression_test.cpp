// SPDX-License-Identifier: Apache-2.0
// Compressed streams: decompressed as they are read, in any pieces, whatever is cut, damaged or meant badly; which of
// two copies counts; and the replacement of a file by its compressed one, with all that can stand in its way.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <random>

#include "compression/finished_streams.h"
#include "compression/recording_compression.h"
#include "compression/stream_compression.h"
#include "launch/own_stream.h"
#include "recording/decompressing_source.h"
#include "recording/recording.h"
#include "recording/stream_listing.h"
#include "test_streams.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::small_recording;
using testing::stream_of;
using testing::TemporaryDirectory;

// One frame, with a checksum at its end.
std::string compressed(const std::string& bytes, int window_log = 0) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  if (window_log != 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  ZSTD_inBuffer given{bytes.data(), bytes.size(), 0};
  ZSTD_outBuffer made{out.data(), out.size(), 0};
  // Before its end is known, so that a window is as large as it was asked for.
  while (given.pos < given.size) ZSTD_compressStream2(context, &made, &given, ZSTD_e_continue);
  while (ZSTD_compressStream2(context, &made, &given, ZSTD_e_end) != 0)
    ;
  out.resize(made.pos);
  ZSTD_freeCCtx(context);
  return out;
}

// Frames that each hold one message.
std::vector<std::string> frames_of(const std::vector<proto::Message>& messages) {
  std::vector<std::string> frames;
  uint64_t sequence = 0;
  for (const proto::Message& message : messages) frames.push_back(compressed(encode_message(message, sequence++)));
  return frames;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

MemorySource memory(const std::string& bytes) { return MemorySource({bytes.begin(), bytes.end()}); }

std::string text_with_repetitions(size_t bytes) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) text += std::string(random() % 40, static_cast<char>('a' + random() % 20)) + "and so on";
  text.resize(bytes);
  return text;
}

struct Decompressed {
  std::string bytes;
  std::optional<CompressionDamage> damage;
};

Decompressed decompressed(const std::string& file, size_t piece_bytes = 1000) {
  MemorySource source = memory(file);
  DecompressingSource decompressing(source);
  Decompressed result;
  std::vector<uint8_t> piece(piece_bytes);
  for (size_t count = piece_bytes; count == piece_bytes;) {
    count = decompressing.read_at(result.bytes.size(), piece);
    result.bytes.append(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  }
  result.damage = decompressing.damage();
  return result;
}

TEST(DecompressingSource, GivesWhatWasCompressedWhereverItIsRead) {
  const std::string text = text_with_repetitions(1 << 20);
  MemorySource source = memory(compressed(text));
  DecompressingSource decompressing(source);
  std::mt19937 random(2);
  for (int reading = 0; reading < 300; ++reading) {
    const uint64_t offset = random() % (text.size() + 1000);
    std::vector<uint8_t> piece(random() % 5000);
    const size_t count = decompressing.read_at(offset, piece);
    const std::string expected = offset < text.size() ? text.substr(offset, piece.size()) : "";
    ASSERT_EQ(std::string(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count)), expected) << "at " << offset;
  }
  EXPECT_FALSE(decompressing.damage());
}

TEST(DecompressingSource, ReadsFramesBehindEachOther) {
  const std::string skippable("\x5A\x2A\x4D\x18\x03\x00\x00\x00xyz", 11);
  const std::string file = skippable + compressed("one, ") + compressed("") + skippable + compressed("two");
  MemorySource source = memory(file);
  EXPECT_TRUE(is_compressed(source));
  for (size_t piece_bytes : {1, 2, 7, 1000}) {
    const Decompressed result = decompressed(file, piece_bytes);
    EXPECT_EQ(result.bytes, "one, two");
    EXPECT_FALSE(result.damage);
  }
  MemorySource raw = memory(stream_of(small_recording())), nothing = memory("\x28\xB5");
  EXPECT_FALSE(is_compressed(raw));
  EXPECT_FALSE(is_compressed(nothing));
}

TEST(DecompressingSource, AtEveryCutGivesWhatIsBeforeAndNamesTheByte) {
  const std::string text = text_with_repetitions(300'000);
  const std::string first = compressed(text), file = first + compressed("and the end");
  for (size_t length = 5; length < file.size(); length += 1 + length / 100) {
    const Decompressed result = decompressed(file.substr(0, length));
    ASSERT_EQ(text.substr(0, result.bytes.size()), result.bytes.substr(0, text.size())) << "cut at " << length;
    ASSERT_TRUE(result.damage) << "cut at " << length;
    EXPECT_EQ(result.damage->offset, length);
    EXPECT_NE(result.damage->what.find("is cut here"), std::string::npos);
  }
  // Two blocks of 128 KiB come out where only the third is cut.
  EXPECT_EQ(decompressed(first.substr(0, first.size() - 10)).bytes.size(), 256u << 10);
  EXPECT_EQ(decompressed(first).bytes, text);
  EXPECT_FALSE(decompressed(first).damage) << "between frames nothing is known to be missing";
}

TEST(DecompressingSource, AtEveryFlippedBitGivesWhatIsBeforeOrNamesIt) {
  const std::string text = text_with_repetitions(300'000), file = compressed(text);
  std::mt19937 random(3);
  for (int flip = 0; flip < 300; ++flip) {
    const size_t position = random() % file.size();
    std::string damaged = file;
    damaged[position] = static_cast<char>(damaged[position] ^ (1 << random() % 8));
    const Decompressed result = decompressed(damaged);
    // The header has a bit that is not used, and the size of the window may grow.
    EXPECT_TRUE(result.damage || result.bytes == text) << "byte " << position;
    EXPECT_LE(result.damage ? result.damage->offset : 0, file.size());
    EXPECT_LE(result.bytes.size(), text.size() + (128u << 10));
  }
}

TEST(DecompressingSource, SaysWhatIsBehindTheLastFrame) {
  const std::string file = compressed("all");
  const Decompressed result = decompressed(file + "hello");
  EXPECT_EQ(result.bytes, "all");
  ASSERT_TRUE(result.damage);
  EXPECT_EQ(result.damage->offset, file.size());
  EXPECT_EQ(result.damage->what, "is damaged: what follows is not compressed by zstd");
}

TEST(DecompressingSource, TakesAWindowOf128MebibytesAndNoLarger) {
  EXPECT_EQ(decompressed(compressed("text", 27)).bytes, "text");
  const Decompressed result = decompressed(compressed("first") + compressed("text", 28));
  EXPECT_EQ(result.bytes, "first");
  ASSERT_TRUE(result.damage);
  EXPECT_EQ(result.damage->offset, compressed("first").size());
  EXPECT_NE(result.damage->what.find("more than 128 MiB of memory"), std::string::npos);
}

TEST(DecompressingSource, DoesNotUnpackABomb) {
  const std::string file = compressed(std::string(100 << 20, '\0'));
  ASSERT_LT(file.size(), 20'000u);
  MemorySource source = memory(file);
  DecompressingSource decompressing(source);
  std::vector<uint8_t> piece(1 << 20);
  uint64_t bytes = 0;
  while (const size_t count = decompressing.read_at(bytes, piece)) bytes += count;
  EXPECT_GE(bytes, DecompressingSource::kFreeBytes);
  EXPECT_LE(bytes, DecompressingSource::kFreeBytes + DecompressingSource::kPerCompressedByte * file.size());
  ASSERT_TRUE(decompressing.damage());
  EXPECT_NE(decompressing.damage()->what.find("16 MiB and 64 times its size"), std::string::npos);
}

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
  const Recording recording = load_recording({directory.write("a.seep.zst", compressed(stream))});
  ASSERT_EQ(recording.problems.size(), 1u);
  EXPECT_EQ(recording.problems[0].offset(), std::nullopt);
  const std::string where = "at byte " + std::to_string(header_bytes) + " of what it decompresses to: is damaged";
  EXPECT_NE(std::string(recording.problems[0].what()).find(where), std::string::npos) << recording.problems[0].what();
}

TEST(CompressedLoading, OfOneThatIsNoRecordingSaysSo) {
  const TemporaryDirectory directory;
  for (const std::string& bytes :
       {compressed("no recording"), compressed(""), compressed(std::string(1000, 'x')).substr(0, 9)}) {
    const Recording recording = load_recording({directory.write("a.seep.zst", bytes)});
    EXPECT_TRUE(recording.processes.empty());
    EXPECT_EQ(recording.problems.size(), 1u);
  }
}

std::vector<proto::Message> another_recording() {
  auto messages = small_recording();
  messages[0].mutable_header()->set_recording_id("fedcba9876543210");
  return messages;
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

  directory.write("a.seep.zst", compressed(stream_of(another_recording())));
  const Recording two = load_recording({directory.path()});
  EXPECT_EQ(two.processes.size(), 2u);
  EXPECT_TRUE(two.problems.empty());
}

TEST(CompressedLoading, OfARawOneThatSaysNothingTheCompressedOneCounts) {
  const TemporaryDirectory directory;
  directory.write("a.seep", "nonsense");
  directory.write("a.seep.zst", compressed(stream_of(small_recording())));
  const Recording recording = load_recording({directory.path()});
  EXPECT_EQ(recording.processes.size(), 1u);
  EXPECT_EQ(recording.problems.size(), 1u);
}

TEST(CompressedLoading, TheRawNameIsStillUnderstood) {
  const TemporaryDirectory directory;
  directory.write("a.seep.zst", compressed(stream_of(small_recording())));
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
  const std::string file = compressed(stream_of(messages));
  const std::string path = directory.write("server.seep.zst", file);
  finish_stream(directory.path(), {4242}, {.signalled = true, .signal = 9});
  EXPECT_EQ(fs::file_size(path), file.size());
}

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
  directory.write("a.seep.zst", compressed(stream_of(small_recording())) + "of an earlier try");
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
  const std::string file = compressed(stream_of(small_recording()));
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
  directory.write("b.seep.zst", compressed(stream_of(another_recording())));
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
