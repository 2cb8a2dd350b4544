// SPDX-License-Identifier: Apache-2.0
// A pattern for stacks: name patterns for frames one behind the other, innermost first, that may begin at any frame.
// "..." stands for any frames, also none; "^" before the first ties it to the innermost frame, "$" behind the last to
// the outermost. Frames of the C and C++ run-time libraries at the two ends may be named, and need not be.
//
// A frame's pattern (leaks/name_pattern.h) may match its function, source file or module, and of the function also the
// mere name, without parameters and template arguments, so that `^parse$` is a function called parse.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <optional>
#include <string>
#include <vector>

#include "leaks/name_pattern.h"
#include "leaks/profile.h"

namespace seep {

class StackPattern {
 public:
  // One frame, anywhere.
  explicit StackPattern(const std::string& name) : StackPattern(std::vector<std::string>{name}) {}
  // Must have no problem.
  explicit StackPattern(const std::vector<std::string>& elements);

  // Why these are no pattern, in words that follow it; nothing: they are one.
  static std::optional<std::string> problem(const std::vector<std::string>& elements);

  // Frames are shared by stacks: each is looked at once, and known by its address, so they must outlive this. One
  // thread.
  bool matches(const ShownStack& stack);

  // On one line: "a < b < ... < c".
  const std::string& text() const { return text_; }

 private:
  struct Element {
    bool any = false;  // "...".
    NamePattern pattern;
    absl::flat_hash_map<const Frame*, bool> known = {};

    bool matches(const Frame& frame);
  };

  bool matches(const Stack& stack, size_t begin, size_t end);

  std::string text_;
  std::vector<Element> elements_;  // With "..." where an end is not tied.
};

}  // namespace seep
