// SPDX-License-Identifier: Apache-2.0
// Where in the repository a stack is to be pointed at: the machine formats (SARIF, annotations) show code by its path
// from the root of the sources. Pure.
#pragma once

#include <optional>
#include <string>

#include "leaks/profile.h"

namespace seep {

struct SourcePlace {
  std::string path;  // Below the root: relative to it; else absolute. Slashes between, never empty.
  uint32_t line = 1;
  bool in_root = false;
  std::string function;
};

// Of one frame; nothing where no source file is known.
std::optional<SourcePlace> place_of(const Frame& frame, const std::string& source_root);

// The innermost frame below the root, of those that are the program's own; else the innermost that has a source file;
// else the module of the innermost, in its line 1.
SourcePlace place_of(const ShownStack& stack, const std::string& source_root);

// As a part of a URI (RFC 3986): what is not allowed in a path, percent-encoded.
std::string uri_path(const std::string& path);

}  // namespace seep
