// SPDX-License-Identifier: Apache-2.0
// Whether the process of a recording is still there. Looks into /proc; sends no signal.
#pragma once

#include "recording/process_recording.h"

namespace seep {

// True only where it is certain: the same boot, the same pid namespace, a process of that number that started at that
// time and is no zombie.
bool is_running(const ProcessRecording& process);

}  // namespace seep
