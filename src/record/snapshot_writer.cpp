// SPDX-License-Identifier: Apache-2.0
//
// From the encoder to the file; see snapshot_writer.h.
#include "record/snapshot_writer.h"

#include "record/stream_file.h"

namespace seep {
namespace {

bool append(void* context, const void* data, size_t bytes) {
  return static_cast<StreamFile*>(context)->append(data, bytes);
}

// A stream from its beginning, in a file that is new or has been emptied.
void begin_anew(EncoderProgress& progress) {
  progress.sequence = 0;
  progress.write_everything = 1;
}

// The file that was made, brought to a state from which it can be continued; false where it is not there.
bool continue_file(StreamFile& file, const char* root, Region region) {
  RegionHeader& header = region.header();
  const StreamState& state = header.stream;
  if (state.inode == 0 || !file.open(root, header.identity.stream_path, state)) return false;
  // Longer: somebody died while appending, before he could say so.
  if (file.bytes() > state.bytes) file.take_back(state.bytes);
  if (file.bytes() < state.bytes) {  // Somebody cut it, and what it said is gone.
    region.count_loss(LossKind::kFailedWrite);
    if (file.bytes() == 0) begin_anew(header.progress);
    else header.progress.write_everything = 1;
  }
  return true;
}

bool make_file(StreamFile& file, const char* root, Region region) {
  RegionHeader& header = region.header();
  char(&path)[sizeof(Identity::stream_path)] = header.identity.stream_path;
  if (path[0] == '\0') return false;
  const bool was_there = header.stream.inode != 0;
  if (!file.create(root, path, sizeof path, header.stream)) return false;
  if (was_there) region.count_loss(LossKind::kFailedWrite);  // Removed by somebody, with what it said.
  begin_anew(header.progress);
  return true;
}

}  // namespace

bool write_snapshot(Region region, EncoderScratch& scratch, const char* root, SnapshotKind kind, uint64_t now_ns,
                    const EndFacts* end) noexcept {
  RegionHeader& header = region.header();
  header.last_snapshot_ns.store(now_ns, std::memory_order_relaxed);
  StreamFile file;
  if (!continue_file(file, root, region) && !make_file(file, root, region)) {
    region.count_loss(LossKind::kFailedWrite);
    return false;
  }
  const uint64_t bytes_before = file.bytes();
  const EncoderProgress before = header.progress;
  const bool written = encode_snapshot(region, scratch, {append, &file}, kind, now_ns, end);
  if (!written) {
    region.count_loss(LossKind::kFailedWrite);
    if (file.take_back(bytes_before)) header.progress.sequence = before.sequence;
    header.progress.snapshots = before.snapshots;
  }
  header.stream.bytes = file.bytes();
  file.close();
  return written;
}

}  // namespace seep
