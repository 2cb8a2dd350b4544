// SPDX-License-Identifier: Apache-2.0
// Reading a stream for its end.
#include "recovery/stream_tail.h"

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
  if (!ours && !made_by_it) return std::nullopt;
  tail.next_sequence = any ? reader.next_sequence() : 0;
  tail.damaged = !ours || reader.lost_messages() > 0;
  for (const Damage& damage : reader.damage()) {
    if (damage.cut) tail.whole_bytes = damage.offset;
    else tail.damaged = true;
  }
  if (!any) tail.whole_bytes = 0;
  return tail;
}

bool begins_recording(FileSource& stream, const Identity& identity) {
  StreamReader reader(stream);
  proto::Message message;
  return reader.next(message) && message.has_header() && same_recording(identity, message.header());
}

}  // namespace seep
