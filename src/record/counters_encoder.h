// SPDX-License-Identifier: Apache-2.0
//
// Counters of a region's traces as messages of the stream; a part of the snapshot encoder (snapshot_encoder.h), with
// its bans.
#pragma once

#include "record/message_writer.h"
#include "record/region.h"
#include "record/snapshot_encoder.h"

namespace seep {

// Of all traces.
struct CounterTotals {
  uint64_t traces = 0, changed_counters = 0;
  uint64_t alloc_blocks = 0, alloc_bytes = 0, free_blocks = 0, free_bytes = 0;
};

// Writes, behind what the message under construction has already, the counters of those traces of the list that begins
// with `newest` which have changed, or of all with `everything`; adds up all. False where something could not be
// written.
[[nodiscard]] bool write_counters(MessageWriter& writer, Region region, Ref newest, bool everything, SnapshotKind kind,
                                  CounterTotals& totals) noexcept;

}  // namespace seep
