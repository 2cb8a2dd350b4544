// SPDX-License-Identifier: Apache-2.0
// Reading suppressions and matching stacks.
#include "leaks/suppressions.h"

#include <algorithm>

#include "text.h"

namespace seep {
namespace {

constexpr std::string_view kLeak = "leak:";

}  // namespace

Suppressions::Suppressions(std::string_view text) {
  for (const TextLine& line : lines_of(text)) add_line(line.text);
}

// An empty pattern would match everything, and is more likely a mistake than meant.
void Suppressions::add_line(std::string_view line) {
  if (line.empty() || line.starts_with('#')) return;
  const std::string_view pattern = line.starts_with(kLeak) ? trimmed(line.substr(kLeak.size())) : std::string_view();
  if (pattern.empty()) {
    ++unknown_lines_;
  } else {
    patterns_.emplace_back(pattern);
  }
}

size_t Suppressions::first_match(const Frame& frame) const {
  const auto matches = [&frame](const NamePattern& pattern) { return pattern.matches_frame(frame); };
  const auto found = std::find_if(patterns_.begin(), patterns_.end(), matches);
  return found == patterns_.end() ? kNone : static_cast<size_t>(found - patterns_.begin());
}

const std::string* Suppressions::match(const Stack& stack) {
  size_t first = kNone;
  for (const Frame* frame : stack) {
    const auto [known, is_new] = first_match_.try_emplace(frame, kNone);
    if (is_new) known->second = first_match(*frame);
    first = std::min(first, known->second);
  }
  return first == kNone ? nullptr : &patterns_[first].text();
}

}  // namespace seep
