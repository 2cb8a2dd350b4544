// SPDX-License-Identifier: Apache-2.0
// How often the kernel has killed somebody in our memory cgroup for want of memory. Reads /proc and /sys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace seep {

// Of the cgroup that this process is in, version 1 or 2. Nothing where that does not say. `root` stands for "/" in
// tests.
std::optional<uint64_t> oom_kills(const std::string& root = "");

}  // namespace seep
