// SPDX-License-Identifier: Apache-2.0
// Whether somebody will still write into a stream: its process, or who folds what that left. Reads only; one thread.
#pragma once

#include <optional>
#include <string>

#include "recording/process_liveness.h"

namespace seep {

// Why a stream must be left as it is; nothing where it is finished. Where it cannot be known it is left, too. Throws an
// Error for what cannot be read, or is no stream.
std::optional<std::string> why_not_finished(const std::string& path, LivenessJudge& judge);

}  // namespace seep
