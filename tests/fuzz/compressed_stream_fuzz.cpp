// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a compressed stream: what comes out must be the same in whatever pieces it is read, from the beginning
// or from the middle, and the messages that a reader finds while it is decompressed those that it finds afterwards. The
// mutator takes most inputs out of their compression before it changes them. No file is opened. One thread.
#include <algorithm>
#include <random>
#include <string>

#include "framed_mutator.h"
#include "recording/decompressing_source.h"
#include "recording/stream_reader.h"
#include "zstd_frame.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

using namespace seep;
using seep::testing::zstd_frame;

constexpr uint64_t kFreeBytes = 64 << 10;
constexpr size_t kMostRawBytes = 64 << 10;

void expect(bool truth) {
  if (!truth) __builtin_trap();
}

std::vector<uint8_t> whole(MemorySource& file, std::optional<CompressionDamage>& damage) {
  DecompressingSource source(file, kFreeBytes);
  std::vector<uint8_t> bytes, piece(3000);
  for (size_t count = piece.size(); count == piece.size();) {
    count = source.read_at(bytes.size(), piece);
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  }
  damage = source.damage();
  return bytes;
}

void check_anywhere(MemorySource& file, const std::vector<uint8_t>& bytes) {
  DecompressingSource source(file, kFreeBytes);
  std::minstd_rand random(static_cast<unsigned>(bytes.size()));
  std::vector<uint8_t> piece(2000);
  for (int reading = 0; reading < 8; ++reading) {
    const uint64_t offset = random() % (bytes.size() + 100);
    const size_t count = source.read_at(offset, piece);
    const size_t there = offset < bytes.size() ? std::min<size_t>(piece.size(), bytes.size() - offset) : 0;
    expect(count == there && std::equal(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count),
                                        bytes.begin() + static_cast<ptrdiff_t>(there == 0 ? 0 : offset)));
  }
}

void check_messages(ByteSource& while_decompressing, const std::vector<uint8_t>& bytes) {
  MemorySource afterwards(bytes);
  StreamReader one(while_decompressing), another(afterwards);
  proto::Message left, right;
  while (true) {
    const bool any = one.next(left);
    expect(any == another.next(right));
    if (!any) break;
    expect(one.message_offset() == another.message_offset() && left.sequence() == right.sequence());
  }
  expect(one.damage().size() == another.damage().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource file(std::vector<uint8_t>(data, data + size));
  std::optional<CompressionDamage> damage;
  const std::vector<uint8_t> bytes = whole(file, damage);
  expect(bytes.size() <= kFreeBytes + DecompressingSource::kPerCompressedByte * size);
  expect(!damage || (damage->offset <= size && !damage->what.empty()));
  check_anywhere(file, bytes);
  DecompressingSource source(file, kFreeBytes);
  check_messages(source, bytes);
  expect(source.damage().has_value() == damage.has_value());
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
  MemorySource file(std::vector<uint8_t>(data, data + size));
  std::optional<CompressionDamage> damage;
  std::vector<uint8_t> raw = whole(file, damage);
  raw.resize(std::min(raw.size(), kMostRawBytes));
  const size_t raw_size = raw.size();
  raw.resize(kMostRawBytes);
  raw.resize(seep::fuzz::mutate_stream(raw.data(), raw_size, raw.size(), seed));
  const std::string text(raw.begin(), raw.end());
  const size_t first = seed % 3 == 0 ? text.size() / 2 : text.size();
  std::string made = zstd_frame(text.substr(0, first), {.level = 1, .checksum = seed / 4 % 2 == 1});
  if (first < text.size()) made += zstd_frame(text.substr(first), {.level = 1, .checksum = false});
  if (made.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(made.begin(), made.end(), data);
  return made.size();
}
