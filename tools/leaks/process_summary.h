// SPDX-License-Identifier: Apache-2.0
// What a report says about one process, and what its recording did not see. Pure but for is_running().
#pragma once

#include "leaks/profile.h"
#include "recording/process_recording.h"

namespace seep {

// `replaced`: a later image of the same process is in the recording; see replaced_images().
ProcessSummary summarize(const ProcessRecording& process, bool replaced = false);

// For each process image in a recording: whether there is a later one of the same process (same boot, pid namespace,
// pid and start), so that this one ended by exec, whatever it could still say. Never where one of these is unknown.
std::vector<bool> replaced_images(const Recording& recording);

void add_coverage(const ProcessRecording& process, const ProcessSummary& summary, Coverage& coverage);

// "statically linked: ..." and the like: why a process ran without being recorded.
std::string describe(const proto::NotObserved& not_observed);

}  // namespace seep
