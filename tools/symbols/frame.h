// SPDX-License-Identifier: Apache-2.0
// One logical frame of a stack: a function as it was written, so an inlined one is a frame like any other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace seep {

struct Frame {
  std::string function;  // Fully demangled; "module+0xoffset" where nothing is known.
  std::string file;      // Absolute, as far as the debug information says; empty where unknown.
  uint32_t line = 0;     // 0: unknown.
  std::string module;    // Path of the file that was mapped.
  bool named = false;    // `function` is a name, not an address.
  bool inlined = false;  // Expanded into the next outer frame by the compiler.
  bool runtime = false;  // Allocates on behalf of its caller, see runtime_frames.h.
  // Of the function across builds, what fingerprints are made of: of its name, else of the module's base name.
  uint64_t identity = 0;
};

inline std::string_view module_base_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace seep
