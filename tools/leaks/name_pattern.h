// SPDX-License-Identifier: Apache-2.0
// A pattern for names, as LeakSanitizer's suppressions have them: it matches anywhere in a name, unless `^` ties it to
// the name's begin or `$` to its end; `*` stands for any characters. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "symbols/frame.h"

namespace seep {

class NamePattern {
 public:
  explicit NamePattern(std::string_view text);

  bool matches(std::string_view name) const;
  // The function, source file or module of the frame, as LeakSanitizer does. What stands for a function without a name
  // is made up, and is nothing that anybody could have meant.
  bool matches_frame(const Frame& frame) const;

  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<std::string> pieces_;  // What stands between the `*`, in this order; never empty ones.
  bool at_begin_ = false;            // The first piece begins the name,
  bool at_end_ = false;              // and the last one ends it.
};

}  // namespace seep
