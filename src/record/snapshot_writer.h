// SPDX-License-Identifier: Apache-2.0
//
// Takes a snapshot of a region into its stream's file: the one way in which a stream grows, whether the observed
// process does it or somebody outside (on a copy of the region that region_check has made safe).
//
//     snapshot_encoder ─ messages ─> stream_file        and back into the region: progress, stream
//
// The caller owns RegionHeader::snapshot_owner, or a private copy. After it, `progress` and `stream` say what the file
// holds, and each Trace::written_signature what of it was written; an outside caller carries these back.
// About 8 KiB of stack. Never calls malloc, takes no lock.
#pragma once

#include <cstdint>

#include "record/region.h"
#include "record/snapshot_encoder.h"

namespace seep {

// What has changed since the last one, or everything where the file does not hold what it should. `root`: see
// StreamFile. False where it could not be written whole: that is counted in the region, the file is as before, and the
// next one repeats everything.
[[nodiscard]] bool write_snapshot(Region region, EncoderScratch& scratch, const char* root, SnapshotKind kind,
                                  uint64_t now_ns, const EndFacts* end) noexcept;

}  // namespace seep
