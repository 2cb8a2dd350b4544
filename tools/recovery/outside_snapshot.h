// SPDX-License-Identifier: Apache-2.0
// A snapshot of a living process, taken by somebody else: also of one that is idle or hangs. The process is not
// stopped and takes no part; it only does not take a snapshot at the same time. One thread.
#pragma once

#include <chrono>
#include <string>

#include "record/snapshot_encoder.h"
#include "recovery/thinning_pass.h"

namespace seep {

struct SnapshotRequest {
  std::string region_path;    // As it can be opened here.
  std::string root;           // The root directory of the process, where it is not ours: "/proc/PID/root".
  std::string own_directory;  // As FoldRequest has it.
  SnapshotKind kind = SnapshotKind::kRequest;
  std::chrono::milliseconds most_wait{2000};
  ThinningPass* thinning = nullptr;  // Keeps the stream small, by somebody who comes again. Must outlive the request.
};

struct TakenSnapshot {
  std::string stream_path;  // As its process knows it.
  uint64_t time_ns = 0;     // Since the recording began.
  bool exact = false;
  double live_bytes = 0, live_blocks = 0;  // An estimate, unless exact.
};

// Throws an Error where it cannot be taken; the recording is then as it was.
TakenSnapshot take_snapshot(const SnapshotRequest& request);

}  // namespace seep
