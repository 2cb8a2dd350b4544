// SPDX-License-Identifier: Apache-2.0
// The reader on good streams, and on every way in which one can be cut or damaged.
#include "recording/stream_reader.h"

#include <gtest/gtest.h>

#include <random>

#include "record/crc32c.h"
#include "recording/framing.h"
#include "test_streams.h"

namespace seep {
namespace {

using testing::read_back;
using testing::ReadBack;
using testing::small_recording;
using testing::stream_of;

// Where each message of a good stream ends.
std::vector<uint64_t> ends_of(const std::string& stream) {
  ReadBack whole = read_back(stream);
  std::vector<uint64_t> ends(whole.offsets.begin() + 1, whole.offsets.end());
  ends.push_back(stream.size());
  return ends;
}

size_t whole_messages_before(const std::vector<uint64_t>& ends, uint64_t offset) {
  return static_cast<size_t>(std::count_if(ends.begin(), ends.end(), [=](uint64_t end) { return end <= offset; }));
}

TEST(StreamReader, ReadsWhatWasWritten) {
  const ReadBack result = read_back(stream_of(small_recording()));
  ASSERT_EQ(result.messages.size(), small_recording().size());
  for (size_t index = 0; index < result.messages.size(); ++index) {
    EXPECT_EQ(result.messages[index].sequence(), index);
    EXPECT_EQ(result.messages[index].content_case(), small_recording()[index].content_case());
  }
  EXPECT_TRUE(result.damage.empty());
  EXPECT_EQ(result.lost_messages, 0u);
}

TEST(StreamReader, ChecksumIsTheOneOfTheRfc) {
  const std::string zeros(32, '\0');
  EXPECT_EQ(crc32c(zeros.data(), zeros.size()), 0x8A9136AAu);
}

TEST(StreamReader, AtEveryTruncationKeepsWhatIsBeforeAndNamesTheCut) {
  const std::string stream = stream_of(small_recording());
  const std::vector<uint64_t> ends = ends_of(stream);
  for (size_t length = 0; length < stream.size(); ++length) {
    const ReadBack result = read_back(stream.substr(0, length));
    const size_t whole = whole_messages_before(ends, length);
    ASSERT_EQ(result.messages.size(), whole) << "cut at " << length;
    const uint64_t kept = whole == 0 ? 0 : ends[whole - 1];
    if (kept == length) {
      EXPECT_TRUE(result.damage.empty()) << "cut at " << length;
      continue;
    }
    ASSERT_EQ(result.damage.size(), 1u) << "cut at " << length;
    EXPECT_TRUE(result.damage[0].cut) << "cut at " << length;
    EXPECT_EQ(result.damage[0].offset, kept);
    EXPECT_EQ(result.damage[0].skipped_bytes, length - kept);
  }
}

TEST(StreamReader, AtEveryFlippedBitLosesOneMessageAndNamesIt) {
  const std::string stream = stream_of(small_recording());
  const std::vector<uint64_t> ends = ends_of(stream);
  for (size_t position = 0; position < stream.size(); ++position) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = stream;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << bit));
      const ReadBack result = read_back(damaged);
      const size_t hit = whole_messages_before(ends, position);
      ASSERT_EQ(result.messages.size(), ends.size() - 1) << "bit " << bit << " of byte " << position;
      for (size_t index = 0; index < result.messages.size(); ++index) {
        EXPECT_EQ(result.messages[index].sequence(), index < hit ? index : index + 1);
      }
      ASSERT_EQ(result.damage.size(), 1u);
      EXPECT_EQ(result.damage[0].offset, hit == 0 ? 0 : ends[hit - 1]);
      EXPECT_EQ(result.damage[0].offset + result.damage[0].skipped_bytes, ends[hit]);
      EXPECT_EQ(result.lost_messages, hit + 1 == ends.size() ? 0u : 1u);
    }
  }
}

TEST(StreamReader, AtEveryOverwrittenByteNeverCrashes) {
  const std::string stream = stream_of(small_recording());
  for (size_t position = 0; position < stream.size(); ++position) {
    for (const int value : {0x00, 0x7F, 0x80, 0xFF}) {
      std::string damaged = stream;
      damaged[position] = static_cast<char>(value);
      EXPECT_GE(read_back(damaged).messages.size(), small_recording().size() - 1);
    }
  }
}

TEST(StreamReader, ResynchronizesAfterGarbageOfAnyLength) {
  const std::string stream = stream_of(small_recording());
  std::mt19937 random(5);
  for (const uint64_t end : ends_of(stream)) {
    for (const size_t length : {1u, 8u, 300u, 70'000u}) {
      std::string garbage(length, '\0');
      for (char& byte : garbage) byte = static_cast<char>(random());
      const ReadBack result = read_back(stream.substr(0, end) + garbage + stream.substr(end));
      EXPECT_EQ(result.messages.size(), small_recording().size()) << length << " bytes at " << end;
      ASSERT_FALSE(result.damage.empty());
      EXPECT_EQ(result.damage[0].offset, end);
    }
  }
}

TEST(StreamReader, FindsAMessageAcrossTheEdgeOfWhatItReadsAtOnce) {
  const std::string header = stream_of({testing::header_message()});
  for (size_t before = (1u << 20) - 16; before <= (1u << 20) + 4; ++before) {
    const ReadBack result = read_back(std::string(before, 'x') + header);
    EXPECT_EQ(result.messages.size(), 1u) << before;
  }
}

TEST(StreamReader, IsNotFooledBySyncConstantsInsideMessages) {
  proto::Message message = testing::header_message();
  std::string false_start(1, 40);  // A length, the start of a message, and no message.
  false_start.append(reinterpret_cast<const char*>(kMessageStart.data()), kMessageStart.size());
  message.mutable_header()->set_parent_recording_id(false_start + false_start);
  std::string stream = stream_of({message, testing::end_message()});
  EXPECT_EQ(read_back(stream).messages.size(), 2u);
  stream[0] = static_cast<char>(stream[0] ^ 1);
  const ReadBack result = read_back(stream);
  ASSERT_EQ(result.messages.size(), 1u);
  EXPECT_TRUE(result.messages[0].has_end());
}

TEST(StreamReader, TakesALengthOverTheLimitForDamage) {
  std::string huge = {'\x81', '\x80', '\x80', '\x08'};  // 16 MiB + 1.
  huge.append(reinterpret_cast<const char*>(kMessageStart.data()), kMessageStart.size());
  const ReadBack result = read_back(huge + stream_of(small_recording()));
  EXPECT_EQ(result.messages.size(), small_recording().size());
  ASSERT_EQ(result.damage.size(), 1u);
  EXPECT_EQ(result.damage[0].skipped_bytes, huge.size());
}

TEST(StreamReader, ReadsAMessageOfMegabytes) {
  proto::Message message = testing::header_message();
  message.mutable_header()->set_options(std::string(9'000'000, 'o'));
  EXPECT_EQ(read_back(stream_of({message, testing::end_message()})).messages.size(), 2u);
}

TEST(StreamReader, CountsMissingSequenceNumbers) {
  const std::string stream = encode_message(testing::header_message(), 0) + encode_message(testing::end_message(), 5);
  EXPECT_EQ(read_back(stream).lost_messages, 4u);
}

// Linux takes any bytes for an argument or a name.
TEST(StreamReader, ReadsTextThatIsNoUtf8) {
  for (const char* text : {"caf\xE9!!", "\xC0\x80\xED\xA0\x80z", "\xE2\x82\xAC\xF0\x9F\x98"}) {
    proto::Message message = testing::header_message();
    message.mutable_header()->add_command(text);
    const ReadBack result = read_back(encode_message(message, 0));
    ASSERT_EQ(result.messages.size(), 1u);
    EXPECT_EQ(result.messages[0].header().command(1), text);
  }
}

TEST(StreamReader, SurvivesNoise) {
  std::mt19937 random(9);
  const std::string stream = stream_of(small_recording());
  for (int round = 0; round < 2000; ++round) {
    std::string noise = stream;
    for (int changes = 0; changes < 20; ++changes) noise[random() % noise.size()] = static_cast<char>(random());
    uint64_t skipped = 0;
    for (const Damage& damage : read_back(noise).damage) skipped += damage.skipped_bytes;
    EXPECT_LE(skipped, noise.size());
  }
}

// Notes how much is asked for at once, and read in all.
class WatchedSource final : public ByteSource {
 public:
  explicit WatchedSource(const std::string& bytes) : inner_(std::vector<uint8_t>(bytes.begin(), bytes.end())) {}
  size_t read_at(uint64_t offset, std::span<uint8_t> into) override {
    most_at_once = std::max(most_at_once, into.size());
    const size_t count = inner_.read_at(offset, into);
    read_bytes += count;
    return count;
  }

  size_t most_at_once = 0;
  uint64_t read_bytes = 0;

 private:
  MemorySource inner_;
};

// Whatever lengths a stream claims, no more memory is taken than the largest message needs, and a MiB to read ahead.
TEST(StreamReader, TakesNoMoreMemoryThanTheLargestMessageNeeds) {
  const std::string start(reinterpret_cast<const char*>(kMessageStart.data()), kMessageStart.size());
  std::string claims;
  for (const char* length : {"\x80\x80\x80\x08", "\xFF\xFF\xFF\x07", "\xFF\xFF\xFF\x7F", "\xFF\xFF\xFF\xFF\x0F"}) {
    claims += length + start + stream_of(small_recording());
  }
  WatchedSource source(claims);
  StreamReader reader(source);
  proto::Message message;
  size_t messages = 0;
  while (reader.next(message)) ++messages;
  EXPECT_EQ(messages, 4 * small_recording().size());
  EXPECT_LE(source.most_at_once, kMaximumMessageBytes + kMaximumLengthBytes + (1u << 20));
}

// Places that look like messages and are none: each is tried, but the bytes around it are not fetched again for it.
TEST(StreamReader, PassesOverFalseStartsInOneReading) {
  std::string starts;
  while (starts.size() < 300'000) {
    starts += '\x28';
    starts.append(reinterpret_cast<const char*>(kMessageStart.data()), kMessageStart.size());
  }
  WatchedSource source(starts + stream_of(small_recording()));
  StreamReader reader(source);
  proto::Message message;
  size_t messages = 0;
  while (reader.next(message)) ++messages;
  EXPECT_EQ(messages, small_recording().size());
  EXPECT_LE(source.read_bytes, 2 * starts.size());
}

// Seeming messages that overlap, each with a claim of nearly 16 MiB and what looks like its trailer: to look at all of
// them would be 5 TB.
TEST(StreamReader, LooksAtOverlappingFalseMessagesWithinABound) {
  constexpr size_t kPeriod = 4 + kMessageStart.size() + 1;  // A length, a start, and the tag of a checksum.
  const size_t length = kMaximumMessageBytes / kPeriod * kPeriod;
  std::string false_message;
  for (size_t index = 0; index < 4; ++index) {
    false_message += static_cast<char>((length >> (7 * index) & 0x7F) | (index < 3 ? 0x80 : 0));
  }
  false_message.append(reinterpret_cast<const char*>(kMessageStart.data()), kMessageStart.size());
  false_message += static_cast<char>(kCrcTag);
  ASSERT_EQ((4 + length - kTrailerBytes) % kPeriod, kPeriod - 1) << "the trailer of each is not where a tag is";
  std::string stream;
  while (stream.size() < length + (4u << 20)) stream += false_message;
  const size_t false_bytes = stream.size();
  stream += std::string(4096, 'x') + stream_of(small_recording());
  WatchedSource source(stream);
  StreamReader reader(source);
  proto::Message message;
  size_t messages = 0;
  while (reader.next(message)) ++messages;
  EXPECT_EQ(messages, small_recording().size());
  EXPECT_GT(reader.fruitless_bytes(), StreamReader::kFruitlessBytes) << "they are not looked at";
  EXPECT_LE(reader.fruitless_bytes(), StreamReader::kFruitlessBytes + StreamReader::kFruitlessPerByte * false_bytes);
  EXPECT_LE(source.read_bytes, 40 * stream.size());
}

// What damage alone costs: not the bound, but each damaged byte once or twice.
TEST(StreamReader, LooksAtDamageThatNobodyCraftedOnceOrTwice) {
  proto::Message message = testing::header_message();
  message.mutable_header()->set_options(std::string(1'000'000, 'o'));
  std::string stream;
  for (int index = 0; index < 20; ++index) stream += encode_message(message, static_cast<uint64_t>(index));
  const size_t each = stream.size() / 20;
  for (size_t index = 0; index < 19; ++index) stream[index * each + 500'000] ^= 1;
  WatchedSource source(stream);
  StreamReader reader(source);
  ASSERT_TRUE(reader.next(message));
  EXPECT_EQ(message.sequence(), 19u);
  EXPECT_LE(reader.fruitless_bytes(), 2 * stream.size());
}

TEST(StreamReader, OfNothingReadsNothing) {
  const ReadBack result = read_back("");
  EXPECT_TRUE(result.messages.empty());
  EXPECT_TRUE(result.damage.empty());
}

}  // namespace
}  // namespace seep
