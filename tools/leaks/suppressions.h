// SPDX-License-Identifier: Apache-2.0
// Leaks that somebody knows of and does not want to hear about, in LeakSanitizer's format: a line each, `leak:PATTERN`.
// A pattern (name_pattern.h) matches a stack of which it matches the function, source file or module of any frame.
// Lines that are empty or begin with `#` say nothing. One thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "leaks/fingerprint.h"
#include "leaks/name_pattern.h"

namespace seep {

class Suppressions {
 public:
  Suppressions() = default;
  // Whatever the text is: it may come from a recording.
  explicit Suppressions(std::string_view text);

  bool empty() const { return patterns_.empty(); }
  // The first pattern that matches the stack, as it was written; null where none does. Stacks share frames: each is
  // looked at once, and known by its address, so they must outlive this.
  const std::string* match(const Stack& stack);

  // Lines that are none of this format, and suppress nothing.
  size_t unknown_lines() const { return unknown_lines_; }

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  void add_line(std::string_view line);
  size_t first_match(const Frame& frame) const;

  std::vector<NamePattern> patterns_;
  absl::flat_hash_map<const Frame*, size_t> first_match_;  // An index, or none.
  size_t unknown_lines_ = 0;
};

}  // namespace seep
