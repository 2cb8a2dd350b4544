// SPDX-License-Identifier: Apache-2.0
// After the program is done: what its dead processes left in their regions becomes the end of their streams, and the
// regions are removed. A process that is still alive keeps its own.
#pragma once

#include <string>

namespace seep {

// For all processes that recorded into `directory`. What cannot be folded stays where it is.
void fold_regions(const std::string& directory);

}  // namespace seep
