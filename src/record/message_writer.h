// SPDX-License-Identifier: Apache-2.0
//
// The framing of the stream's messages: length, sync constant, sequence number, content, CRC-32C, as proto/seep.proto
// says. Content is encoded behind room for what stands before it, which is written when its length is known. Runs where
// snapshot_encoder.h does, under the same bans.
#pragma once

#include <pb_encode.h>

#include <cstring>

#include "record/crc32c.h"
#include "record/snapshot_encoder.h"
#include "seep.nanopb.h"

namespace seep {

inline constexpr size_t kCrcBytes = 5;  // Tag and value.
inline constexpr unsigned kCrcTag = 15 << 3 | 5;

// One message under construction. Items are added until one does not fit; then the message goes out and the next
// begins.
class MessageWriter {
 public:
  MessageWriter(EncoderScratch& scratch, StreamSink sink, uint64_t& sequence)
      : scratch_(scratch), sink_(sink), sequence_(sequence) {}

  void begin(unsigned content_field) {
    content_field_ = content_field;
    content_bytes_ = 0;
  }

  // A submessage in the content, as its field number `field`.
  [[nodiscard]] bool add(unsigned field, const pb_msgdesc_t* fields, const void* item) {
    if (try_add(field, fields, item)) return true;
    if (content_bytes_ == 0 || !finish()) return false;
    begin(content_field_);
    return try_add(field, fields, item);
  }

  // The content is this one struct.
  [[nodiscard]] bool write_single(unsigned content_field, const pb_msgdesc_t* fields, const void* item) {
    begin(content_field);
    pb_ostream_t stream = pb_ostream_from_buffer(content(), content_capacity());
    if (!pb_encode(&stream, fields, item)) return false;
    content_bytes_ = stream.bytes_written;
    return send();
  }

  [[nodiscard]] bool has_room(size_t bytes) const { return content_bytes_ + bytes <= content_capacity(); }

  // Sends what has been added, if anything.
  [[nodiscard]] bool finish() { return content_bytes_ == 0 || send(); }

 private:
  uint8_t* content() { return scratch_.buffer + EncoderScratch::kPrefixBytes; }
  static constexpr size_t content_capacity() {
    return EncoderScratch::kBufferBytes - EncoderScratch::kPrefixBytes - kCrcBytes;
  }

  bool try_add(unsigned field, const pb_msgdesc_t* fields, const void* item) {
    pb_ostream_t stream = pb_ostream_from_buffer(content() + content_bytes_, content_capacity() - content_bytes_);
    if (!pb_encode_tag(&stream, PB_WT_STRING, field) || !pb_encode_submessage(&stream, fields, item)) return false;
    content_bytes_ += stream.bytes_written;
    return true;
  }

  bool send() {
    uint8_t prefix[EncoderScratch::kPrefixBytes];
    pb_ostream_t stream = pb_ostream_from_buffer(prefix, sizeof prefix);
    bool good =
        pb_encode_tag(&stream, PB_WT_64BIT, seep_proto_Message_sync_tag) && pb_encode_fixed64(&stream, &kSyncConstant);
    if (sequence_ != 0) {
      good = good && pb_encode_tag(&stream, PB_WT_VARINT, seep_proto_Message_sequence_tag) &&
             pb_encode_varint(&stream, sequence_);
    }
    good = good && pb_encode_tag(&stream, PB_WT_STRING, content_field_) && pb_encode_varint(&stream, content_bytes_);
    if (!good) return false;
    uint8_t* body = content() - stream.bytes_written;
    memcpy(body, prefix, stream.bytes_written);
    uint8_t* end = content() + content_bytes_;
    append_crc(body, end);
    const size_t body_bytes = static_cast<size_t>(end - body) + kCrcBytes;
    stream = pb_ostream_from_buffer(prefix, sizeof prefix);
    if (!pb_encode_varint(&stream, body_bytes)) return false;
    uint8_t* start = body - stream.bytes_written;
    memcpy(start, prefix, stream.bytes_written);
    content_bytes_ = 0;
    ++sequence_;
    return sink_.write(sink_.context, start, body_bytes + stream.bytes_written);
  }

  static void append_crc(const uint8_t* body, uint8_t* end) {
    const uint32_t crc = crc32c(body, static_cast<size_t>(end - body));
    end[0] = kCrcTag;
    for (int i = 0; i < 4; ++i) end[1 + i] = static_cast<uint8_t>(crc >> (8 * i));
  }

  EncoderScratch& scratch_;
  StreamSink sink_;
  uint64_t& sequence_;
  unsigned content_field_ = 0;
  size_t content_bytes_ = 0;
};

}  // namespace seep
