// SPDX-License-Identifier: Apache-2.0
//
// Protobuf's wire format (https://protobuf.dev/programming-guides/encoding), for the two messages that a snapshot has
// thousands of: traces and their counters. nanopb, which writes all the others, looks each field's type up in a table
// and goes over a submessage twice, once for its length: 1.1 microseconds of counters, of which this takes a sixth.
// Field numbers are the generated ones, and the tests read the result with libprotobuf.
//
// Writes to where it is told, without looking for the end: the caller knows how much an item can take. Runs where
// snapshot_encoder.h does, under the same bans.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "record/message_frame.h"

namespace seep {

constexpr unsigned varint_bytes(uint64_t value) { return (static_cast<unsigned>(std::bit_width(value | 1)) + 6) / 7; }

class WireWriter {
 public:
  static constexpr size_t kMostFieldBytes = 12;            // A number: its tag, below 2^11, and its value.
  static constexpr size_t kMostItemBytes = (1 << 14) - 1;  // Whose length takes two bytes.

  explicit WireWriter(uint8_t* at) : at_(at) {}

  [[nodiscard]] uint8_t* at() const { return at_; }

  // As proto3 has it: what is zero is left out.
  void number(unsigned field, uint64_t value) {
    if (value == 0) return;
    tag(field, WireType::kVarint);
    at_ = write_varint(at_, value);
  }
  void real(unsigned field, double value) { fixed(field, WireType::kFixed64, value); }
  void real(unsigned field, float value) { fixed(field, WireType::kFixed32, value); }

  // `value_of(i)` of each i below `count`.
  template <typename ValueOf>
  void packed(unsigned field, size_t count, ValueOf value_of) {
    if (count == 0) return;
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) bytes += varint_bytes(value_of(i));
    tag(field, WireType::kBytes);
    at_ = write_varint(at_, bytes);
    for (size_t i = 0; i < count; ++i) at_ = write_varint(at_, value_of(i));
  }
  template <typename Number>
  void packed(unsigned field, const Number* values, size_t count) {
    packed(field, count, [values](size_t i) { return uint64_t{values[i]}; });
  }

  // A submessage of at most kMostItemBytes is what is written between the two.
  [[nodiscard]] uint8_t* begin_item(unsigned field) {
    tag(field, WireType::kBytes);
    return at_ += 2;
  }
  void end_item(uint8_t* begin) {
    const auto bytes = static_cast<size_t>(at_ - begin);
    if (bytes < 0x80) {  // Room for a longer length was left: most are short, and quickly moved.
      memmove(begin - 1, begin, bytes);
      --at_;
      begin[-2] = static_cast<uint8_t>(bytes);
    } else {
      begin[-2] = static_cast<uint8_t>(bytes | 0x80);
      begin[-1] = static_cast<uint8_t>(bytes >> 7);
    }
  }

 private:
  void tag(unsigned field, WireType type) { at_ = write_tag(at_, field, type); }

  template <typename Number>
  void fixed(unsigned field, WireType type, Number value) {
    if (value == 0) return;
    tag(field, type);
    memcpy(at_, &value, sizeof value);  // Little endian, as the wire.
    at_ += sizeof value;
  }

  uint8_t* at_;
};

}  // namespace seep
