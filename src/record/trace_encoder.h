// SPDX-License-Identifier: Apache-2.0
//
// Traces of a region as messages of the stream; a part of the snapshot encoder (snapshot_encoder.h), with its bans.
#pragma once

#include "record/message_writer.h"
#include "record/region.h"

namespace seep {

// Writes the traces of the list that begins with `newest` which something was counted for and which are not written
// yet, or all with `everything`. False where something could not be written.
[[nodiscard]] bool write_traces(MessageWriter& writer, Region region, Ref newest, bool everything) noexcept;

}  // namespace seep
