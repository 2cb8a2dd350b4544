// SPDX-License-Identifier: Apache-2.0
// The bytes of the symbol cache: what is written is read, and nothing else is.
#include "symbols/cached_symbols.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "record/crc32c.h"
#include "symbol_cache.pb.h"

namespace seep {
namespace {

constexpr char kKey[] = "build id x\nfile 1:2";

std::vector<KnownAddress> some_symbols() {
  const Frame named{.function = "ns::f(int)", .file = "/src/f.cpp", .line = 12, .named = true, .inlined = true};
  const Frame caller{.function = "main", .file = "/src/main.cpp", .line = 7, .named = true};
  const Frame only_line{.file = "/src/f.cpp", .line = 99};
  return {{0, {Frame()}}, {0x1234, {named, named, caller}}, {0x1235, {only_line}}, {~uint64_t{0}, {caller}}};
}

void expect_same(const std::vector<KnownAddress>& left, const std::vector<KnownAddress>& right) {
  ASSERT_EQ(left.size(), right.size());
  for (size_t index = 0; index < left.size(); ++index) {
    EXPECT_EQ(left[index].offset, right[index].offset);
    ASSERT_EQ(left[index].frames.size(), right[index].frames.size());
    for (size_t frame = 0; frame < left[index].frames.size(); ++frame) {
      const Frame& one = left[index].frames[frame];
      const Frame& other = right[index].frames[frame];
      EXPECT_EQ(one.function, other.function);
      EXPECT_EQ(one.file, other.file);
      EXPECT_EQ(one.line, other.line);
      EXPECT_EQ(one.named, other.named);
      EXPECT_EQ(one.inlined, other.inlined);
    }
  }
}

TEST(CachedSymbols, AreReadAsTheyWereWritten) {
  const auto read = decode_symbols(kKey, encode_symbols(kKey, some_symbols()));
  ASSERT_TRUE(read.has_value());
  expect_same(*read, some_symbols());
  EXPECT_TRUE(decode_symbols(kKey, encode_symbols(kKey, {})).has_value());
}

TEST(CachedSymbols, OfAnotherKeyAreNothing) {
  const std::string bytes = encode_symbols(kKey, some_symbols());
  EXPECT_FALSE(decode_symbols("", bytes).has_value());
  EXPECT_FALSE(decode_symbols(std::string(kKey) + " ", bytes).has_value());
}

// Every bit of it, and every length.
TEST(CachedSymbols, ThatAreDamagedAreNothing) {
  const std::string bytes = encode_symbols(kKey, some_symbols());
  for (size_t length = 0; length < bytes.size(); ++length) {
    ASSERT_FALSE(decode_symbols(kKey, bytes.substr(0, length)).has_value()) << length;
  }
  EXPECT_FALSE(decode_symbols(kKey, bytes + '\0').has_value());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    ASSERT_FALSE(decode_symbols(kKey, damaged).has_value()) << bit;
  }
}

std::string with_checksum(const std::string& body) {
  std::string bytes = encode_symbols(kKey, {}).substr(0, kSymbolsHeadBytes);
  const uint32_t checksum = crc32c(body.data(), body.size());
  std::memcpy(bytes.data() + bytes.size() - sizeof checksum, &checksum, sizeof checksum);
  return bytes + body;
}

// Whole, and yet not what seep writes.
TEST(CachedSymbols, ThatDoNotFitTogetherAreNothing) {
  const std::string bytes = encode_symbols(kKey, some_symbols());
  const std::vector<std::function<void(proto::CachedSymbols&)>> changes = {
      [](auto& message) { message.set_functions(0, 1000); },
      [](auto& message) { message.set_files(1, ~0u); },
      [](auto& message) { message.add_lines(1); },
      [](auto& message) { message.mutable_inlined()->RemoveLast(); },
      [](auto& message) { message.add_functions(0); },
      [](auto& message) { message.add_files(0); },
      [](auto& message) { message.set_counts(1, 4); },
      [](auto& message) { message.set_counts(0, 0); },
      [](auto& message) { message.set_counts(0, ~0u); },
      [](auto& message) { message.add_counts(1); },
      [](auto& message) { message.add_steps(1); },
      [](auto& message) { message.set_steps(1, 0); },
      [](auto& message) { message.set_steps(1, ~uint64_t{0}); },
      [](auto& message) { message.clear_strings(); },
      [](auto& message) { message.set_strings(0, "not empty"); },
      [](auto& message) { message.clear_key(); },
  };
  proto::CachedSymbols whole;
  ASSERT_TRUE(whole.ParseFromString(bytes.substr(kSymbolsHeadBytes)));
  ASSERT_TRUE(decode_symbols(kKey, with_checksum(whole.SerializeAsString())).has_value());
  for (size_t index = 0; index < changes.size(); ++index) {
    proto::CachedSymbols changed = whole;
    changes[index](changed);
    EXPECT_FALSE(decode_symbols(kKey, with_checksum(changed.SerializeAsString())).has_value()) << index;
  }
  EXPECT_FALSE(decode_symbols(kKey, with_checksum("no message")).has_value());
}

// Bodies with good checksums and random changes: read or not, but never more than there are bytes for.
TEST(CachedSymbols, OfRandomBytesTakeNoMoreThanTheyHold) {
  std::mt19937 random(1);
  const std::string body = encode_symbols(kKey, some_symbols()).substr(kSymbolsHeadBytes);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = body;
    for (unsigned change = random() % 4; change < 4; ++change) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    const auto read = decode_symbols(kKey, with_checksum(changed));
    if (!read) continue;
    size_t frames = 0;
    for (const KnownAddress& address : *read) frames += address.frames.size();
    EXPECT_LE(frames, changed.size());
  }
}

}  // namespace
}  // namespace seep
