// SPDX-License-Identifier: Apache-2.0
// Where a stream ends, for somebody who is to write on: whose it is, how far it is whole, how it ended. Reads only.
#pragma once

#include <cstdint>
#include <optional>

#include "record/region.h"
#include "recording/byte_source.h"
#include "seep.pb.h"

namespace seep {

struct StreamTail {
  uint64_t device = 0, inode = 0;
  uint64_t whole_bytes = 0;  // Behind its last whole message; what follows is the beginning of one that was cut.
  uint64_t next_sequence = 0;
  bool damaged = false;  // Elsewhere than at its end, or messages are missing.
  std::optional<proto::Snapshot> last_snapshot;
  std::optional<proto::End> end;  // Nothing follows it.

  // It says how the process ended, or that it was read after that.
  bool closed() const { return end || (last_snapshot && last_snapshot->kind() == proto::Snapshot::POST_MORTEM); }
};

// Nothing where the file is no stream of this recording. One in which nothing is whole yet is known by its inode
// and its first bytes.
std::optional<StreamTail> read_tail(FileSource& stream, const Identity& identity, const StreamState& state);

// Whether the file's first message is the Header of this recording.
bool begins_recording(ByteSource& stream, const Identity& identity);

}  // namespace seep
