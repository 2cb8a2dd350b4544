// SPDX-License-Identifier: Apache-2.0
// Which regions there are: where they lie, and which belong to the processes that record, or recorded, into a
// directory. Reads their headers only; changes nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "recording/process_recording.h"
#include "recording/region_file.h"

namespace seep {

// Where regions lie unless the option `region` says otherwise.
inline constexpr char kRegionDirectory[] = "/dev/shm";

struct RegionListing {
  std::vector<RegionFacts> regions;  // By path. Living and dead processes'; also such as are not ready.
  std::vector<Error> problems;       // Ours, and not readable: damaged, or of another version.
};

// All in a directory that belong to this user (to root: all). Other users' are left out without a word.
RegionListing regions_in(const std::string& directory);

// Those of processes that record into `directory`, whether they lie there, on tmpfs or in `another_place`, and whatever
// else lies there.
std::vector<RegionFacts> regions_of(const std::string& directory, const std::string& another_place = "");

// The process as its region alone describes it.
std::unique_ptr<ProcessRecording> described_by(const RegionFile& region, SnapshotKind kind);

}  // namespace seep
