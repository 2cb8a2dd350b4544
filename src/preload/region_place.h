// SPDX-License-Identifier: Apache-2.0
//
// Where the file of this process's region goes. Its name holds the pid and a number made of pid and start time, which
// stay the same across exec: so a new image finds the region that the image before it left behind. That one had to
// stay until the exec had succeeded, since after one that fails it is needed again.
//
// Raw system calls only. Runs inside the host.
#pragma once

#include <cstddef>

namespace seep {

// The `attempt`-th name (from 1) in the place that the option `region` says. False: there is no such name.
[[nodiscard]] bool region_path(unsigned attempt, char* path, size_t path_bytes) noexcept;

// Whether something has that name already. The region of the image before this one, if its stream holds all of it, is
// removed, and then nothing has.
[[nodiscard]] bool is_region_path_taken(const char* path) noexcept;

// At the start of an image, which may never come to record anything.
void remove_region_of_image_before() noexcept;

}  // namespace seep
