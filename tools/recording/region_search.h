// SPDX-License-Identifier: Apache-2.0
// The regions of the processes that record, or recorded, into a directory. Only looks; changes nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "recording/process_recording.h"
#include "recording/region_file.h"

namespace seep {

// All that can be read, of living and of dead processes. What cannot be read is somebody else's, and left out.
std::vector<std::unique_ptr<RegionFile>> regions_of(const std::string& directory);

// The process as its region alone describes it.
std::unique_ptr<ProcessRecording> described_by(const RegionFile& region);

}  // namespace seep
