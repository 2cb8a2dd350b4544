// SPDX-License-Identifier: Apache-2.0
// Text that comes from outside, made fit to be shown or stored, and numbers that people write. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace seep {

// Without control characters: names in a recording come from the observed program, and must not steer a terminal.
std::string printable(std::string_view text);

// With U+FFFD in place of what is no UTF-8: bytes that belong to none, surrogates, numbers written longer than need be.
std::string valid_utf8(std::string_view text);

// "512k" -> 524288; suffixes k, m, g. Nothing where it is no size, or 0, or does not fit.
std::optional<uint64_t> size_in(std::string_view text);

// Without white space around.
std::string_view trimmed(std::string_view text);

// The lines of a text, trimmed.
struct TextLine {
  uint32_t number = 0;  // From 1.
  std::string_view text;
};
std::vector<TextLine> lines_of(std::string_view text);

// Whether the whole text is as the pattern says: `*` stands for any characters, `?` for one.
bool matches_glob(std::string_view text, std::string_view pattern);

}  // namespace seep
