// SPDX-License-Identifier: Apache-2.0
//
// Keeps a stream's file below Identity::max_stream_bytes: when it has grown beyond, a thinned copy (stream_thinner.h)
// is made beside it, a slice after each snapshot, so that no thread of the host stalls for long, and then renamed over
// it. The file has its name at every instant, and RegionHeader::stream says which of the two it may be.
//
// The newest eighth stays as it is; the rest loses every second snapshot. A pass that saved less than a ninth is not
// repeated before the file has grown by as much.
//
// Runs where snapshot_writer.h does, for the same owner. Never calls malloc; keeps no descriptor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/region.h"
#include "record/stream_thinner.h"

namespace seep {

// The pass under way. Zeros: none. Large: the thinner's buffers are in it.
struct StreamThinning {
  bool active;
  uint64_t device, source_inode, target_inode;
  StreamThinner thinner;
};

// Whether the stream is so long that one should begin; then table memory of StreamThinner::table_bytes(trace_count)
// is wanted.
[[nodiscard]] bool wants_thinning(const RegionHeader& header) noexcept;

// Begins a pass. `table` must stay until it is over. False where the copy cannot be made.
bool begin_thinning(Region region, StreamThinning& thinning, const char* root, void* table,
                    size_t table_bytes) noexcept;

// Works about `most_bytes` more; ends the pass when it is done or has failed (`active` is false then). What it failed
// for is no loss: the stream stays as it was.
void continue_thinning(Region region, StreamThinning& thinning, const char* root, uint64_t most_bytes) noexcept;

// Removes the unfinished copy, if there is one.
void abandon_thinning(Region region, StreamThinning& thinning, const char* root) noexcept;

}  // namespace seep
