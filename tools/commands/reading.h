// SPDX-License-Identifier: Apache-2.0
// How the commands that look at recordings come to them.
#pragma once

#include <string>
#include <vector>

#include "leaks/profile.h"
#include "recording/recording.h"

namespace seep {

// The recordings of these paths, after what dead processes left has been folded into them. Without a path: the newest
// one here, which then is the path.
Recording read_folded(std::vector<std::string>& paths);

// One that uses the user's symbol cache, if it may.
Symbolizer make_symbolizer(bool no_symbol_cache);

// Symbolized, with a progress line on a terminal.
Profile profile_with_progress(const Recording& recording, Symbolizer& symbolizer);

// Quoted, with spaces between.
std::string shell_words(const std::vector<std::string>& words);

}  // namespace seep
