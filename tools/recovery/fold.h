// SPDX-License-Identifier: Apache-2.0
// What a dead process left in its region becomes the end of its stream, and the region's file is removed: the stream is
// then the whole recording, and the memory is free. A region that is a copy folds into the stream beside it, never into
// the original's.
//
// Writes with the rights of the region's owner, into a stream of the same recording or a new file; removes nothing but
// the region's file that it was given. Where it cannot write, all stays as it is, to be read in memory. Two at a time
// are kept apart by a lock on the region. One thread.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "recording/process_liveness.h"
#include "recording/region_header.h"

namespace seep {

struct FoldRequest {
  // A directory of ours that the stream may be written into with our own rights, not the owner's: that of `seep run`,
  // or of who reads the recording, whose program may have given up its privileges. Empty: none.
  std::string own_directory;
  std::string only_into;                      // A stream, or the directory that it must be in; empty: wherever it is.
  bool damaged_too = false;                   // What can be read of a damaged one, too; the rest is lost then.
  bool pretend = false;                       // Only find out.
  std::chrono::milliseconds most_wait{1000};  // For somebody else who is at it.
};

struct Folded {
  enum class State { kDone, kGone, kBusy };  // kGone: somebody else has done it. kBusy: somebody else is at it.
  State state = State::kDone;
  std::string stream_path;  // Of the stream that holds everything now.
};

// The region's process must be dead. Throws an Error where it cannot be folded, which says why; the region then is as
// it was.
Folded fold_region(const RegionFacts& region, const FoldRequest& request);

// Before recordings are read: folds what dead processes left for them. Whatever does not work is left to the reader.
void fold_before_reading(const std::vector<std::string>& paths);

}  // namespace seep
