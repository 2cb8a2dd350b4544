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

// The file that was made, brought to a state from which it can be continued; false where it is not there.
bool continue_file(StreamFile& file, const char* root, Region region) {
  RegionHeader& header = region.header();
  StreamState& state = header.stream;
  if (!file.open(root, header.identity.stream_path, state)) return false;
  // Longer: somebody died while appending, before he could say so.
  if (file.bytes() > state.now.bytes) file.take_back(state.now.bytes);
  if (file.bytes() < state.now.bytes) {  // Somebody cut it, and what it said is gone.
    region.count_loss(LossKind::kFailedWrite);
    header.progress.write_everything = 1;
    if (file.bytes() == 0) state.now.next_sequence = 0;
  }
  return true;
}

bool make_file(StreamFile& file, const char* root, Region region, SnapshotKind kind) {
  RegionHeader& header = region.header();
  char(&path)[sizeof(Identity::stream_path)] = header.identity.stream_path;
  if (path[0] == '\0') return false;
  const bool was_there = header.stream.now.inode != 0;
  const uint64_t thinned = header.stream.now.thinned_snapshots;
  // The name that the process was about to write to when it died.
  const bool adopted = kind == SnapshotKind::kPostMortem && !was_there && file.adopt_empty(root, path, header.stream);
  if (!adopted && !file.create(root, path, sizeof path, header.stream)) return false;
  header.stream.now.thinned_snapshots = thinned;
  header.progress.write_everything = 1;
  if (was_there) region.count_loss(LossKind::kFailedWrite);  // Removed by somebody, with what it said.
  return true;
}

}  // namespace

bool write_snapshot(Region region, EncoderScratch& scratch, const char* root, SnapshotKind kind, uint64_t now_ns,
                    const EndFacts* end) noexcept {
  RegionHeader& header = region.header();
  header.last_snapshot_ns.store(now_ns, std::memory_order_relaxed);
  StreamFile file;
  if (!continue_file(file, root, region) && !make_file(file, root, region, kind)) {
    region.count_loss(LossKind::kFailedWrite);
    return false;
  }
  StreamContents& contents = header.stream.now;
  const uint64_t bytes_before = file.bytes();
  const uint32_t snapshots_before = header.progress.snapshots;
  header.progress.sequence = contents.next_sequence;
  const bool written = encode_snapshot(region, scratch, {append, &file}, kind, now_ns, end);
  if (!written) {
    region.count_loss(LossKind::kFailedWrite);
    header.progress.snapshots = snapshots_before;
  }
  if (written || !file.take_back(bytes_before)) contents.next_sequence = header.progress.sequence;
  contents.bytes = file.bytes();
  file.close();
  return written;
}

}  // namespace seep
