// SPDX-License-Identifier: Apache-2.0
// The stream reader: bytes in, whole messages out, and an account of every byte that was not one.
//
// It trusts no byte: lengths are bounded, checksums are verified before anything is parsed, and after damage it goes on
// at the next message whose checksum is good. Memory is bounded by the largest message.
//
// So is time: messages that only seem to begin may overlap, each claiming up to 16 MiB. What is looked at in vain, in
// all, is at most kFruitlessBytes and kFruitlessPerByte for each byte passed; a message that would be looked at beyond
// that is taken for damage. In a stream that nobody crafted it is about one byte for each that is damaged. One thread a
// reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "recording/byte_source.h"
#include "seep.pb.h"

namespace seep {

// A stretch of a stream that holds no good message.
struct Damage {
  uint64_t offset = 0;
  uint64_t skipped_bytes = 0;
  bool cut = false;  // The file ends inside a message; else bytes are wrong.
};

class StreamReader {
 public:
  static constexpr uint64_t kFruitlessBytes = 64u << 20;
  static constexpr uint64_t kFruitlessPerByte = 4;

  explicit StreamReader(ByteSource& source) : source_(source) {}

  // The next good message, or false at the end. Damage that was passed on the way is in damage().
  bool next(proto::Message& message);

  // Where the message that next() returned last begins (with its length).
  uint64_t message_offset() const { return message_offset_; }

  const std::vector<Damage>& damage() const { return damage_; }
  // Messages that the sequence numbers prove to be missing: before the last good one only.
  uint64_t lost_messages() const { return lost_messages_; }
  uint64_t next_sequence() const { return next_sequence_; }
  // Bytes of seeming messages, looked at in vain.
  uint64_t fruitless_bytes() const { return fruitless_bytes_; }

 private:
  enum class Attempt { kGood, kBad, kCut, kEnd };

  Attempt try_message(uint64_t offset, proto::Message& message, uint64_t& size);
  bool may_be_fruitless(uint64_t offset, uint64_t size) const;
  bool resynchronize(uint64_t damaged_from, proto::Message& message, uint64_t& start, uint64_t& size);
  bool find_message_start(uint64_t from, uint64_t& found);
  void account_sequence(uint64_t sequence);
  std::span<const uint8_t> bytes_at(uint64_t offset, size_t count);
  std::span<const uint8_t> bytes_from(uint64_t offset, size_t count);
  void read_window(uint64_t offset, size_t count);

  ByteSource& source_;
  // A stretch of the source, from window_offset_ on.
  std::unique_ptr<uint8_t[]> window_;
  size_t window_capacity_ = 0;
  size_t window_bytes_ = 0;
  uint64_t window_offset_ = 0;
  bool window_is_last_ = false;  // The source ended there.
  uint64_t position_ = 0;
  uint64_t message_offset_ = 0;
  uint64_t next_sequence_ = 0;
  uint64_t lost_messages_ = 0;
  uint64_t fruitless_bytes_ = 0;
  std::vector<Damage> damage_;
};

}  // namespace seep
