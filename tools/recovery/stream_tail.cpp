// SPDX-License-Identifier: Apache-2.0
// Reading a stream for its end.
#include "recovery/stream_tail.h"

#include <algorithm>

#include "recording/framing.h"
#include "recording/region_file.h"
#include "recording/stream_reader.h"

namespace seep {
namespace {

// What one message means for the end of the stream.
void note(const proto::Message& message, StreamTail& tail) {
  tail.end.reset();
  if (message.has_snapshot()) tail.last_snapshot = message.snapshot();
  if (message.has_end()) tail.end = message.end();
}

// Whether it may be the beginning of a stream's first message: an inode alone is not proof, since its number is used
// again when the file is removed.
bool is_cut_header(FileSource& stream) {
  uint8_t bytes[kMaximumLengthBytes + kMessageStart.size()];
  const size_t count = stream.read_at(0, bytes);
  size_t length_bytes = 1;
  while (length_bytes < kMaximumLengthBytes && length_bytes < count && (bytes[length_bytes - 1] & 0x80) != 0) {
    ++length_bytes;
  }
  const size_t start_bytes = std::min(kMessageStart.size(), count - std::min(length_bytes, count));
  return std::equal(kMessageStart.begin(), kMessageStart.begin() + static_cast<ptrdiff_t>(start_bytes),
                    bytes + length_bytes);
}

}  // namespace

std::optional<StreamTail> read_tail(FileSource& stream, const Identity& identity, const StreamState& state) {
  StreamTail tail;
  tail.device = stream.status().st_dev;
  tail.inode = stream.status().st_ino;
  tail.whole_bytes = static_cast<uint64_t>(stream.status().st_size);
  bool ours = false, any = false;
  StreamReader reader(stream);
  for (proto::Message message; reader.next(message); any = true) {
    if (message.has_header()) {
      if (!same_recording(identity, message.header())) return std::nullopt;
      ours = true;
    }
    note(message, tail);
  }
  const bool made_by_it =
      tail.device == state.device && (tail.inode == state.now.inode || tail.inode == state.replacement.inode);
  if (!ours && (!made_by_it || (!any && !is_cut_header(stream)))) return std::nullopt;
  tail.next_sequence = any ? reader.next_sequence() : 0;
  tail.damaged = !ours || reader.lost_messages() > 0;
  for (const Damage& damage : reader.damage()) {
    if (damage.cut) tail.whole_bytes = damage.offset;
    else tail.damaged = true;
  }
  if (!any) tail.whole_bytes = 0;
  return tail;
}

bool begins_recording(ByteSource& stream, const Identity& identity) {
  StreamReader reader(stream);
  proto::Message message;
  return reader.next(message) && message.has_header() && same_recording(identity, message.header());
}

}  // namespace seep
