// SPDX-License-Identifier: Apache-2.0
//
// The name of the stream's file: the option `out` with its placeholders expanded, and made absolute while the working
// directory is still the one that the user meant. Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep {

struct NameFacts {         // What the placeholders of `out` stand for.
  const char* executable;  // %e: its last component is taken.
  uint32_t pid;            // %p
  const char* host;        // %h
  uint64_t unix_s;         // %t
  uint32_t counter;        // %n
};

// Expands `pattern` (%% is a %). False where it does not fit.
[[nodiscard]] bool expand_name(const char* pattern, const NameFacts& facts, char* name, size_t name_bytes) noexcept;

// Makes the pattern `path` absolute against the current directory; unchanged where that cannot be told. How many bytes
// of what it expands to are that directory; 0 where it was absolute.
[[nodiscard]] size_t make_absolute(char* path, size_t path_bytes) noexcept;

}  // namespace seep
