// SPDX-License-Identifier: Apache-2.0
// Framing, verification and resynchronization.
#include "recording/stream_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "record/crc32c.h"
#include "recording/framing.h"

namespace seep {
namespace {

// What is read beyond what was asked for, so that neighbouring attempts share a read.
constexpr size_t kReadAheadBytes = 1u << 20;

struct Length {
  size_t value = 0;
  size_t encoded_bytes = 0;  // 0: not a plausible length.
  bool cut = false;          // The bytes end inside it.
};

// The varint in front of a message. Only the shortest encoding counts, and only lengths that a message can have.
Length decode_length(std::span<const uint8_t> bytes) {
  Length length;
  for (size_t index = 0; index < kMaximumLengthBytes; ++index) {
    if (index == bytes.size()) {
      length.cut = true;
      return length;
    }
    length.value |= static_cast<size_t>(bytes[index] & 0x7F) << (7 * index);
    if (bytes[index] & 0x80) continue;
    const bool shortest = index == 0 || bytes[index] != 0;
    const bool plausible = length.value >= kMinimumMessageBytes && length.value <= kMaximumMessageBytes;
    if (shortest && plausible) length.encoded_bytes = index + 1;
    return length;
  }
  return length;
}

bool starts_like_message(std::span<const uint8_t> bytes) {
  const size_t count = std::min(bytes.size(), kMessageStart.size());
  return std::equal(kMessageStart.begin(), kMessageStart.begin() + count, bytes.begin());
}

bool checksum_is_good(std::span<const uint8_t> message) {
  const auto trailer = message.last(kTrailerBytes);
  uint32_t stored;
  std::memcpy(&stored, trailer.data() + 1, sizeof stored);
  return crc32c(message.data(), message.size() - kTrailerBytes) == stored;
}

// Clears a message for the next one, which mostly is of the same kind. The parts of a large one are kept for its parts:
// to allocate them takes longer than to parse them.
void clear(proto::Message& message) {
  switch (message.content_case()) {
    case proto::Message::kTraces: message.mutable_traces()->Clear(); break;
    case proto::Message::kCounters: message.mutable_counters()->Clear(); break;
    default: return message.Clear();
  }
  message.clear_sync();
  message.clear_sequence();
  message.clear_crc32c();
}

// The library would say on stderr what it does not like. What is left of a kind that is not said is empty.
bool parse(std::span<const uint8_t> body, proto::Message& message) {
  clear(message);
  auto* handler = google::protobuf::SetLogHandler(nullptr);
  google::protobuf::io::CodedInputStream input(body.data(), static_cast<int>(body.size()));
  const bool parsed = message.MergeFromCodedStream(&input) && input.ConsumedEntireMessage();
  google::protobuf::SetLogHandler(handler);
  return parsed;
}

}  // namespace

bool StreamReader::next(proto::Message& message) {
  uint64_t start = position_;
  uint64_t size = 0;
  const Attempt attempt = try_message(start, message, size);
  if (attempt == Attempt::kEnd) return false;
  if (attempt != Attempt::kGood) {
    const uint64_t damaged_from = position_;
    const bool found = resynchronize(damaged_from, message, start, size);
    damage_.push_back({damaged_from, start - damaged_from, attempt == Attempt::kCut && !found});
    if (!found) {
      position_ = start;
      return false;
    }
  }
  message_offset_ = start;
  position_ = start + size;
  account_sequence(message.sequence());
  return true;
}

StreamReader::Attempt StreamReader::try_message(uint64_t offset, proto::Message& message, uint64_t& size) {
  const auto head = bytes_at(offset, kMaximumLengthBytes + kMessageStart.size());
  if (head.empty()) return Attempt::kEnd;
  const Length length = decode_length(head);
  if (length.encoded_bytes == 0) return length.cut ? Attempt::kCut : Attempt::kBad;
  if (!starts_like_message(head.subspan(length.encoded_bytes))) return Attempt::kBad;
  size = length.encoded_bytes + length.value;
  if (!may_be_fruitless(offset, size)) return Attempt::kBad;
  const auto whole = bytes_at(offset, static_cast<size_t>(size));
  if (whole.size() < size) return Attempt::kCut;
  const auto body = whole.subspan(length.encoded_bytes);
  if (body[body.size() - kTrailerBytes] != kCrcTag) return Attempt::kBad;
  if (checksum_is_good(body) && parse(body, message)) return Attempt::kGood;
  fruitless_bytes_ += size;
  return Attempt::kBad;
}

bool StreamReader::may_be_fruitless(uint64_t offset, uint64_t size) const {
  return fruitless_bytes_ + size <= kFruitlessBytes + kFruitlessPerByte * offset;
}

// Goes on at the next sync constant that is preceded by a length with which the checksum is good. Where there is none,
// `start` becomes the end of the source.
bool StreamReader::resynchronize(uint64_t damaged_from, proto::Message& message, uint64_t& start, uint64_t& size) {
  uint64_t sync = damaged_from;
  while (find_message_start(sync, sync)) {
    for (size_t length_bytes = 1; length_bytes <= kMaximumLengthBytes; ++length_bytes) {
      if (sync < damaged_from + length_bytes) break;
      start = sync - length_bytes;
      const Length length = decode_length(bytes_at(start, length_bytes));
      if (length.encoded_bytes == length_bytes && try_message(start, message, size) == Attempt::kGood) return true;
    }
    ++sync;
  }
  start = sync;
  return false;
}

// The next place at or after `from` where kMessageStart stands; where there is none, `found` is the end of the source.
bool StreamReader::find_message_start(uint64_t from, uint64_t& found) {
  while (true) {
    const auto bytes = bytes_from(from, kMessageStart.size());
    if (bytes.size() < kMessageStart.size()) {
      found = from + bytes.size();
      return false;
    }
    const void* hit = memmem(bytes.data(), bytes.size(), kMessageStart.data(), kMessageStart.size());
    if (hit != nullptr) {
      found = from + static_cast<uint64_t>(static_cast<const uint8_t*>(hit) - bytes.data());
      return true;
    }
    // The last bytes may begin one that ends in the next stretch.
    from += bytes.size() - (kMessageStart.size() - 1);
  }
}

// A number that repeats or goes back is no loss: it is what a second writer after a lost tail would give.
void StreamReader::account_sequence(uint64_t sequence) {
  if (sequence > next_sequence_) lost_messages_ += sequence - next_sequence_;
  if (sequence >= next_sequence_ && sequence != std::numeric_limits<uint64_t>::max()) next_sequence_ = sequence + 1;
}

// Up to `count` bytes from `offset` on, fewer only at the end of the source. Valid until the next call.
std::span<const uint8_t> StreamReader::bytes_at(uint64_t offset, size_t count) {
  const auto bytes = bytes_from(offset, count);
  return bytes.first(std::min(count, bytes.size()));
}

// The same, and as many more as there are in memory.
std::span<const uint8_t> StreamReader::bytes_from(uint64_t offset, size_t count) {
  const bool inside = offset >= window_offset_ && offset - window_offset_ <= window_bytes_ &&
                      (window_is_last_ || window_bytes_ - (offset - window_offset_) >= count);
  if (!inside) read_window(offset, count + kReadAheadBytes);
  const size_t skipped = static_cast<size_t>(offset - window_offset_);
  return {window_.get() + skipped, window_bytes_ - skipped};
}

void StreamReader::read_window(uint64_t offset, size_t count) {
  if (count > window_capacity_) {
    window_ = std::make_unique_for_overwrite<uint8_t[]>(count);
    window_capacity_ = count;
  }
  window_bytes_ = source_.read_at(offset, {window_.get(), count});
  window_offset_ = offset;
  window_is_last_ = window_bytes_ < count;
}

}  // namespace seep
