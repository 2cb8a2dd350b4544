// SPDX-License-Identifier: Apache-2.0
// Reading suppressions and matching names.
#include "leaks/suppressions.h"

#include <algorithm>

namespace seep {
namespace {

constexpr std::string_view kSpaces = " \t\r\v\f";
constexpr std::string_view kLeak = "leak:";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

}  // namespace

Suppressions::Pattern::Pattern(std::string_view text) : text_(text) {
  at_begin_ = text.starts_with('^');
  if (at_begin_) text.remove_prefix(1);
  at_end_ = text.ends_with('$');
  if (at_end_) text.remove_suffix(1);
  at_begin_ &= !text.starts_with('*');
  at_end_ &= !text.ends_with('*');
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find('*'));
    if (!piece.empty()) pieces_.emplace_back(piece);
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
  }
}

// Each piece as early as possible, for then most is left for the others; but one that ends the name stands there.
bool Suppressions::Pattern::matches(std::string_view name) const {
  if (name.empty()) return false;
  if (pieces_.empty()) return !(at_begin_ && at_end_);
  size_t at = 0;
  for (size_t index = 0; index < pieces_.size(); ++index) {
    const std::string& piece = pieces_[index];
    const bool ends = at_end_ && index + 1 == pieces_.size();
    size_t found = name.find(piece, at);
    if (ends)
      found = name.size() >= at + piece.size() && name.ends_with(piece) ? name.size() - piece.size() : name.npos;
    if (found == name.npos || (at_begin_ && index == 0 && found != 0)) return false;
    at = found + piece.size();
  }
  return true;
}

Suppressions::Suppressions(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    add_line(trimmed(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
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
  const auto matches = [&frame](const Pattern& pattern) {
    return (frame.named && pattern.matches(frame.function)) || pattern.matches(frame.file) ||
           pattern.matches(frame.module);
  };
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
