// SPDX-License-Identifier: Apache-2.0
//
// The stream's messages as bytes, for what handles them without decoding all of them: taking a message out of its
// frame, putting content into one, and walking over the fields of protobuf's wire format. proto/seep.proto says what
// they hold.
//
//     length | 09 sync | 10 sequence | content's tag, length, bytes | 7D crc
//
// Runs inside the host and in the analyzer, on bytes that nobody has checked yet. Never calls malloc; no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "record/crc32c.h"
#include "record/snapshot_encoder.h"

namespace seep {

enum class WireType : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

inline constexpr size_t kMaxVarintBytes = 10;

// `end` is where reading must stop; false where the number is not whole before it. `at` moves behind it.
[[nodiscard]] inline bool read_varint(const uint8_t*& at, const uint8_t* end, uint64_t& value) noexcept {
  value = 0;
  for (unsigned shift = 0; shift < 64 && at != end; shift += 7) {
    const uint8_t byte = *at++;
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

// Where the bytes of the number end.
inline uint8_t* write_varint(uint8_t* at, uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<uint8_t>(value | 0x80);
  *at++ = static_cast<uint8_t>(value);
  return at;
}

inline uint8_t* write_tag(uint8_t* at, uint64_t number, WireType type) noexcept {
  return write_varint(at, number << 3 | static_cast<unsigned>(type));
}

// A field inside a message; all of it lies in the message's bytes.
struct WireField {
  uint64_t number;
  WireType type;
  uint64_t value;        // Of kVarint.
  const uint8_t* start;  // The tag,
  const uint8_t* data;   // what follows it (kBytes: behind the length),
  const uint8_t* end;    // and where it ends.

  [[nodiscard]] size_t bytes() const noexcept { return static_cast<size_t>(end - start); }
};

// The field at `at`, which is before `end`, and moves behind it; false for what is no field.
[[nodiscard]] inline bool read_field(const uint8_t*& at, const uint8_t* end, WireField& field) noexcept {
  uint64_t tag;
  field.start = at;
  if (!read_varint(at, end, tag) || tag >> 3 == 0) return false;
  field.number = tag >> 3;
  field.type = static_cast<WireType>(tag & 7);
  field.value = 0;
  field.data = at;
  uint64_t bytes = 0;
  switch (field.type) {
    case WireType::kVarint:
      if (!read_varint(at, end, field.value)) return false;
      break;
    case WireType::kBytes:
      if (!read_varint(at, end, bytes)) return false;
      field.data = at;
      break;
    case WireType::kFixed64: bytes = 8; break;
    case WireType::kFixed32: bytes = 4; break;
    default: return false;
  }
  if (bytes > static_cast<size_t>(end - at)) return false;
  at += bytes;
  field.end = at;
  return true;
}

// A number of a message that has it at most once; 0 where it is missing. False where the bytes are no message.
[[nodiscard]] inline bool find_number(const uint8_t* at, const uint8_t* end, uint64_t number,
                                      uint64_t& value) noexcept {
  value = 0;
  for (WireField field; at != end;) {
    if (!read_field(at, end, field)) return false;
    if (field.number == number && field.type == WireType::kVarint) value = field.value;
  }
  return true;
}

// Numbers of Message's fields.
inline constexpr unsigned kSyncField = 1, kSequenceField = 2, kHeaderField = 3, kModulesField = 4, kTracesField = 5,
                          kCountersField = 6, kSnapshotField = 7, kEndField = 8, kCrcField = 15;

inline constexpr uint8_t kSyncTag = kSyncField << 3 | static_cast<unsigned>(WireType::kFixed64);
inline constexpr size_t kFrameStartBytes = 9;  // Tag and value of the sync constant.
inline constexpr size_t kFrameEndBytes = 5;    // Tag and value of the CRC.

// A message of the stream, taken out of its frame; the content lies where it lay.
struct MessageFrame {
  uint64_t sequence;
  uint64_t content_field;
  uint8_t* content;
  size_t content_bytes;
  size_t bytes;  // Of all, the length in front included.
};

enum class FrameCheck { kWhole, kCut, kBad };

// The message at `data`: kCut where `bytes` are too few to tell, kBad where none can begin here, or one that is larger
// than the encoder writes them. The checksum is compared only if `verify`.
[[nodiscard]] inline FrameCheck read_frame(uint8_t* data, size_t bytes, bool verify, MessageFrame& frame) noexcept {
  const uint8_t* at = data;
  const uint8_t* const end = data + bytes;
  uint64_t length;
  if (!read_varint(at, end, length)) return bytes < kMaxVarintBytes ? FrameCheck::kCut : FrameCheck::kBad;
  const size_t prefix_bytes = static_cast<size_t>(at - data);
  const bool shortest = prefix_bytes == 1 || data[prefix_bytes - 1] != 0;
  if (!shortest || length < kFrameStartBytes + kFrameEndBytes || length > EncoderScratch::kBufferBytes - prefix_bytes) {
    return FrameCheck::kBad;
  }
  if (length > static_cast<size_t>(end - at)) return FrameCheck::kCut;
  frame.bytes = prefix_bytes + static_cast<size_t>(length);
  const uint8_t* const body = at;
  const uint8_t* const body_end = at + length - kFrameEndBytes;
  if (*at != kSyncTag || memcmp(at + 1, &kSyncConstant, sizeof kSyncConstant) != 0) return FrameCheck::kBad;
  at += kFrameStartBytes;
  WireField field;
  if (at == body_end || !read_field(at, body_end, field)) return FrameCheck::kBad;
  frame.sequence = 0;
  if (field.number == kSequenceField && field.type == WireType::kVarint) {
    frame.sequence = field.value;
    if (at == body_end || !read_field(at, body_end, field)) return FrameCheck::kBad;
  }
  if (field.type != WireType::kBytes || at != body_end) return FrameCheck::kBad;
  frame.content_field = field.number;
  frame.content = data + (field.data - data);
  frame.content_bytes = static_cast<size_t>(field.end - field.data);
  uint32_t crc;
  memcpy(&crc, body_end + 1, sizeof crc);
  const bool good = *body_end == (kCrcField << 3 | static_cast<unsigned>(WireType::kFixed32)) &&
                    (!verify || crc == crc32c(body, static_cast<size_t>(body_end - body)));
  return good ? FrameCheck::kWhole : FrameCheck::kBad;
}

// Puts a frame around content. The caller leaves EncoderScratch::kPrefixBytes before it and kFrameEndBytes behind it.
// Returns where the message begins; it ends kFrameEndBytes behind the content.
[[nodiscard]] inline uint8_t* write_frame(uint8_t* content, size_t content_bytes, uint64_t content_field,
                                          uint64_t sequence) noexcept {
  uint8_t prefix[EncoderScratch::kPrefixBytes];
  prefix[0] = kSyncTag;
  memcpy(prefix + 1, &kSyncConstant, sizeof kSyncConstant);
  uint8_t* at = prefix + kFrameStartBytes;
  if (sequence != 0) at = write_varint(write_tag(at, kSequenceField, WireType::kVarint), sequence);
  at = write_varint(write_tag(at, content_field, WireType::kBytes), content_bytes);
  size_t prefix_bytes = static_cast<size_t>(at - prefix);
  uint8_t* const body = content - prefix_bytes;
  memcpy(body, prefix, prefix_bytes);
  uint8_t* const end = content + content_bytes;
  const uint32_t crc = crc32c(body, static_cast<size_t>(end - body));
  *end = kCrcField << 3 | static_cast<unsigned>(WireType::kFixed32);
  memcpy(end + 1, &crc, sizeof crc);
  prefix_bytes = static_cast<size_t>(write_varint(prefix, static_cast<size_t>(end - body) + kFrameEndBytes) - prefix);
  memcpy(body - prefix_bytes, prefix, prefix_bytes);
  return body - prefix_bytes;
}

}  // namespace seep
