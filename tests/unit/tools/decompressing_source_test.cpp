// SPDX-License-Identifier: Apache-2.0
// A compressed stream, decompressed as it is read: in any pieces, whatever is cut, damaged or meant badly.
#include "recording/decompressing_source.h"

#include <gtest/gtest.h>

#include <random>

#include "test_compression.h"

namespace seep {
namespace {

using testing::decompressed;
using testing::Decompressed;
using testing::memory;
using testing::small_recording;
using testing::stream_of;
using testing::zstd_frame;

std::string text_with_repetitions(size_t bytes) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) text += std::string(random() % 40, static_cast<char>('a' + random() % 20)) + "and so on";
  text.resize(bytes);
  return text;
}

TEST(DecompressingSource, GivesWhatWasCompressedWhereverItIsRead) {
  const std::string text = text_with_repetitions(1 << 20);
  MemorySource source = memory(zstd_frame(text));
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
  const std::string file = skippable + zstd_frame("one, ") + zstd_frame("") + skippable + zstd_frame("two");
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
  const std::string first = zstd_frame(text), file = first + zstd_frame("and the end");
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
  const std::string text = text_with_repetitions(300'000), file = zstd_frame(text);
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
  const std::string file = zstd_frame("all");
  const Decompressed result = decompressed(file + "hello");
  EXPECT_EQ(result.bytes, "all");
  ASSERT_TRUE(result.damage);
  EXPECT_EQ(result.damage->offset, file.size());
  EXPECT_EQ(result.damage->what, "is damaged: what follows is not compressed by zstd");
}

TEST(DecompressingSource, TakesAWindowOf128MebibytesAndNoLarger) {
  EXPECT_EQ(decompressed(zstd_frame("text", {.window_log = 27})).bytes, "text");
  const Decompressed result = decompressed(zstd_frame("first") + zstd_frame("text", {.window_log = 28}));
  EXPECT_EQ(result.bytes, "first");
  ASSERT_TRUE(result.damage);
  EXPECT_EQ(result.damage->offset, zstd_frame("first").size());
  EXPECT_NE(result.damage->what.find("more than 128 MiB of memory"), std::string::npos);
}

TEST(DecompressingSource, DoesNotUnpackABomb) {
  const std::string file = zstd_frame(std::string(100 << 20, '\0'));
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

}  // namespace
}  // namespace seep
