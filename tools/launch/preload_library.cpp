// SPDX-License-Identifier: Apache-2.0
// Finding the library next to the program.
#include "launch/preload_library.h"

#include <filesystem>

#include "error.h"

namespace seep {

std::string preload_library_path() {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (failed) throw Error(ExitCode::kUnreadable, "/proc/self/exe", failed.message());
  const fs::path directory = program.parent_path();
  for (const char* relative : {"../lib/seep/libseep.so", "../src/preload/libseep.so"}) {
    const fs::path candidate = (directory / relative).lexically_normal();
    if (fs::is_regular_file(candidate, failed)) return candidate.string();
  }
  throw Error(ExitCode::kUnreadable, (directory / "../lib/seep/libseep.so").lexically_normal().string(),
              "is missing: seep is not installed whole");
}

}  // namespace seep
