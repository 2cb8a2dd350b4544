// SPDX-License-Identifier: Apache-2.0
// Taking patterns apart, and matching names.
#include "leaks/name_pattern.h"

#include <algorithm>

namespace seep {

NamePattern::NamePattern(std::string_view text) : text_(text) {
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
bool NamePattern::matches(std::string_view name) const {
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

bool NamePattern::matches_frame(const Frame& frame) const {
  return (frame.named && matches(frame.function)) || matches(frame.file) || matches(frame.module);
}

}  // namespace seep
