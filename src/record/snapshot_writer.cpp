// SPDX-License-Identifier: Apache-2.0
//
// From the encoder to the file; see snapshot_writer.h.
#include "record/snapshot_writer.h"

#include <cstring>

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
  if (!file.open(root, header.identity.stream_path, state, header.identity.recording_id)) return false;
  // Longer: somebody died while appending, before he could say so.
  if (file.bytes() > state.now.bytes) file.take_back(state.now.bytes);
  if (file.bytes() < state.now.bytes) {  // Somebody cut it, and what it said is gone.
    region.count_loss(LossKind::kFailedWrite);
    header.progress.write_everything = 1;
    file.take_back(file.whole_bytes(state.now.next_sequence));
  }
  return true;
}

using Path = char[sizeof(Identity::stream_path)];

// `wanted_path` gets the name without the suffix that it has now perhaps.
bool make_file(StreamFile& file, const char* root, Region region, SnapshotKind kind, Path& wanted_path) {
  RegionHeader& header = region.header();
  Path& path = header.identity.stream_path;
  memcpy(wanted_path, path, sizeof path);
  if (path[0] == '\0') return false;
  const bool was_there = header.stream.now.inode != 0;
  const uint64_t thinned = header.stream.now.thinned_snapshots;
  // Whoever was about to write to that name has died: the process, or somebody outside who had only said so.
  const bool adopted = !was_there && (kind == SnapshotKind::kPostMortem || header.progress.write_everything != 0) &&
                       file.adopt_empty(root, path, header.stream);
  if (!adopted && !file.create(root, path, sizeof path, header.identity.stream_base_bytes, header.stream)) return false;
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
  Path wanted_path;
  const bool is_new = !continue_file(file, root, region);
  if (is_new && !make_file(file, root, region, kind, wanted_path)) {
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
  // Nothing went into it: as if it had not been made. But where there is no region's file either, an empty stream says
  // that there was something to be recorded.
  if (is_new && file.bytes() == 0 && header.identity.region_path[0] != '\0') {
    file.remove(root, header.identity.stream_path);
    header.stream = {};
    memcpy(header.identity.stream_path, wanted_path, sizeof wanted_path);
  }
  file.close();
  return written;
}

}  // namespace seep
