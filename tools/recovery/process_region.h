// SPDX-License-Identifier: Apache-2.0
// The region of a process that is known by its pid: found in what it has mapped, reached through its root directory.
// Reads only.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

// "" where the process sees the same files as we do; else "/proc/PID/root". Throws an Error where that cannot be known.
std::string root_of(uint32_t pid);

struct ProcessRegion {
  std::string path;  // As it can be opened here.
  std::string root;
};

// Throws an Error that says why there is none: no such process, another user's, not observed, nothing recorded yet,
// recording in private memory, its file removed.
ProcessRegion region_of_process(uint32_t pid);

}  // namespace seep
