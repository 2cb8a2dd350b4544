// SPDX-License-Identifier: Apache-2.0
// Where libseep.so is, seen from the running `seep`.
#pragma once

#include <string>

namespace seep {

// Absolute; found relative to /proc/self/exe, installed or in the build directory. Throws an Error where it is missing.
std::string preload_library_path();

}  // namespace seep
