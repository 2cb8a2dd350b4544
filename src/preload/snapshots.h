// SPDX-License-Identifier: Apache-2.0
//
// When the stream is written: each interval, by a thread that happens to be on the slow path; before exec; at the end.
// Unless somebody outside has just done so (RegionHeader::last_snapshot_ns). One thread at a time
// (RegionHeader::snapshot_owner), the others go on. It runs on a stack of seep's own with all
// signals blocked, so that it may be called from a thread with 16 KiB of stack or from a handler on an alternate one.
// Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/snapshot_encoder.h"

namespace seep {

// Takes one if the interval is over and nobody else is at it. From the slow path, every now and then.
void maybe_snapshot() noexcept;

// The last one, with how it ended; then the region's file is removed, if the stream holds all. Waits a bounded time for
// a thread that is taking one.
void final_snapshot(SnapshotKind kind, const EndFacts& end) noexcept;

// In the child of a fork, before it has taken on its own pid: the stream is the parent's, but the directory is for
// both.
void leave_parents_stream() noexcept;

// The name that the stream gets, but for a suffix against names in use.
[[nodiscard]] bool expand_stream_path(char* path, size_t path_bytes) noexcept;

}  // namespace seep
