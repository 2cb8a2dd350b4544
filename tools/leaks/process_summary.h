// SPDX-License-Identifier: Apache-2.0
// What a report says about one process, and what its recording did not see. Pure but for is_running().
#pragma once

#include "leaks/profile.h"
#include "recording/process_recording.h"

namespace seep {

ProcessSummary summarize(const ProcessRecording& process);

void add_coverage(const ProcessRecording& process, const ProcessSummary& summary, Coverage& coverage);

// "statically linked: ..." and the like: why a process ran without being recorded.
std::string describe(const proto::NotObserved& not_observed);

}  // namespace seep
