// SPDX-License-Identifier: Apache-2.0
// A recording: the streams that belong together, found, opened and read.
//
// Nothing is changed here: no file is written, removed or folded (recovery/fold.h does that before). A stream that
// cannot be read, or only in part, is a problem beside the others, which are read all the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "recording/process_recording.h"

namespace seep {

struct Recording {
  std::vector<std::string> paths;                            // As they were asked for, or chosen.
  std::vector<std::unique_ptr<ProcessRecording>> processes;  // In the order of their start.
  std::vector<Error> problems;                               // One for each stream that could not be read whole.
};

// A path is a stream, or a directory with streams (not looked for any deeper).
Recording load_recording(const std::vector<std::string>& paths);

// What dead processes, and such as may be dead, left in the regions that lie in these directories, with their streams
// where those are. Regions of running ones are left out.
Recording load_orphans(const std::vector<std::string>& directories);

// One stream; where it is damaged, the problems say so. Throws an Error where nothing of it can be read.
std::unique_ptr<ProcessRecording> load_stream(const std::string& path, std::vector<Error>& problems);

// The newest `seep.*` directory with streams, or `.seep` or `.seep.zst` file, in the working directory; an Error where
// there is none, which says so where processes that recorded here left regions all the same.
std::string newest_recording();

// The directories, in or below the working directory, into which processes were to record that died and have left a
// region; for each such process one.
std::vector<std::string> places_of_orphans_here();

}  // namespace seep
