// SPDX-License-Identifier: Apache-2.0
// Files that a user wrote: read whole, replaced whole.
#pragma once

#include <string>

namespace seep {

// Larger is none that a person wrote, nor a baseline.
constexpr size_t kMostTextBytes = 16 << 20;

// Throws an Error (kUsage) where it cannot be read, or is larger than that. Pipes are read, too.
std::string read_text_file(const std::string& path);

// A reader of `path` sees the old text or the new one, also after a crash. What is no regular file (a pipe, a
// terminal), or named below /dev (/dev/stdout, which may be one), is written into. Throws an Error (kUsage).
void replace_text_file(const std::string& path, const std::string& text);

// Behind what is there. Throws an Error (kUsage).
void append_to_text_file(const std::string& path, const std::string& text);

}  // namespace seep
