// SPDX-License-Identifier: Apache-2.0
//
// Writes what has changed in a region since the last time as messages of the stream (proto/seep.proto): the one
// encoder, whether the observed process takes a snapshot of itself or somebody else reads its region.
//
// Encoding is into a buffer of fixed size, one message at a time: by nanopb, but for traces and their counters, which
// there are thousands of (wire_writer.h). Messages are cut so that each fits the buffer; the largest single item, a
// trace of kMaxDepth frames, does.
//
// Runs inside the host, on a thread that owns RegionHeader::snapshot_owner, and in the analyzer. About 4 KiB of stack.
// Never calls malloc, takes no lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/region.h"

namespace seep {

inline constexpr uint32_t kMaxDepth = 1024;
inline constexpr uint64_t kSyncConstant = 0xF5A7C35EEB1EA4D7ull;
inline constexpr uint32_t kStreamVersion = 2;

// Where the encoded bytes go.
struct StreamSink {
  bool (*write)(void* context, const void* data, size_t bytes);  // False: could not be written whole.
  void* context;
};

// The encoder's memory, all that it needs beside the stack.
struct EncoderScratch {
  static constexpr size_t kPrefixBytes = 64;  // Before the content: length, sync, sequence, content's tag and length.
  static constexpr size_t kBufferBytes = 64 << 10;
  uint8_t buffer[kBufferBytes];
  // Texts in nanopb's form, with their length before them; those of one item at a time.
  static constexpr size_t kTextBytes = 16 << 10;
  alignas(2) uint8_t text[kTextBytes];
  size_t text_used;
};

// Values of proto Snapshot.Kind.
enum class SnapshotKind : unsigned { kInterval, kExit, kExec, kRequest, kPostMortem };

// One snapshot: header (at the first), modules, traces, counters, closed by Snapshot, then `end` unless it is null.
// False if something could not be written; the next call then repeats everything. The caller owns
// RegionHeader::snapshot_owner.
[[nodiscard]] bool encode_snapshot(Region region, EncoderScratch& scratch, StreamSink sink, SnapshotKind kind,
                                   uint64_t now_ns, const EndFacts* end) noexcept;

}  // namespace seep
