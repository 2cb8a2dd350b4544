// SPDX-License-Identifier: Apache-2.0
// Where a rule of the gate is written: a line of a file, or an option of the command line. Plain data.
#pragma once

#include <cstdint>
#include <string>

#include "error.h"

namespace seep {

struct Origin {
  std::string file;   // Or "--max-bytes".
  uint32_t line = 0;  // From 1; 0: no file.

  // "seep.toml:12"
  std::string text() const { return line == 0 ? file : file + ":" + std::to_string(line); }
};

// What is wrong there, as the one line that the user gets. Nothing has been started or read then.
inline Error usage_error(const Origin& origin, const std::string& what) {
  return Error(ExitCode::kUsage, origin.text(), what);
}

}  // namespace seep
