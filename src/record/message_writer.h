// SPDX-License-Identifier: Apache-2.0
//
// The framing of the stream's messages: length, sync constant, sequence number, content, CRC-32C, as proto/seep.proto
// says. Content is encoded behind room for what stands before it, which is written when its length is known. Runs where
// snapshot_encoder.h does, under the same bans.
#pragma once

#include <pb_encode.h>

#include "record/message_frame.h"
#include "record/snapshot_encoder.h"
#include "seep.nanopb.h"

namespace seep {

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

  // An item that is written elsewhere: where it may stand and take `most_bytes`, of a message that has room for these;
  // null where the message before it could not be sent. Then where it ends.
  [[nodiscard]] uint8_t* begin_item(size_t most_bytes) {
    if (!has_room(most_bytes)) {
      if (!finish()) return nullptr;
      begin(content_field_);
    }
    return content() + content_bytes_;
  }
  void end_item(const uint8_t* end) { content_bytes_ = static_cast<size_t>(end - content()); }

  // Sends what has been added, if anything.
  [[nodiscard]] bool finish() { return content_bytes_ == 0 || send(); }

 private:
  uint8_t* content() { return scratch_.buffer + EncoderScratch::kPrefixBytes; }
  static constexpr size_t content_capacity() {
    return EncoderScratch::kBufferBytes - EncoderScratch::kPrefixBytes - kFrameEndBytes;
  }

  bool try_add(unsigned field, const pb_msgdesc_t* fields, const void* item) {
    pb_ostream_t stream = pb_ostream_from_buffer(content() + content_bytes_, content_capacity() - content_bytes_);
    if (!pb_encode_tag(&stream, PB_WT_STRING, field) || !pb_encode_submessage(&stream, fields, item)) return false;
    content_bytes_ += stream.bytes_written;
    return true;
  }

  bool send() {
    const size_t content_bytes = content_bytes_;
    content_bytes_ = 0;
    const uint8_t* const start = write_frame(content(), content_bytes, content_field_, sequence_++);
    const uint8_t* const end = content() + content_bytes + kFrameEndBytes;
    return sink_.write(sink_.context, start, static_cast<size_t>(end - start));
  }

  EncoderScratch& scratch_;
  StreamSink sink_;
  uint64_t& sequence_;
  unsigned content_field_ = 0;
  size_t content_bytes_ = 0;
};

}  // namespace seep
