// SPDX-License-Identifier: Apache-2.0
// Cleaning text, reading sizes, matching.
#include "text.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "sequence_match.h"

namespace seep {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

// How many bytes the character takes that begins here; 0: none does.
size_t character_bytes(std::string_view text) {
  const auto byte = [text](size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (size_t index = 1; index < size; ++index) {
    if ((byte(index) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second >= 0xA0;
  const bool too_large = first == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_large ? 0 : size;
}

// A pattern as matches_sequence wants it.
struct GlobElement {
  bool any;
  char letter;
};
struct GlobElements {
  std::string_view pattern;
  size_t size() const { return pattern.size(); }
  GlobElement operator[](size_t index) const { return {pattern[index] == '*', pattern[index]}; }
};

}  // namespace

std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return shown;
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const size_t size = character_bytes(text);
    if (size == 0) {
      valid += kReplacement;
    } else {
      valid += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return valid;
}

std::optional<uint64_t> size_in(std::string_view text) {
  uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  const int shift = suffix == "k" || suffix == "K"   ? 10
                    : suffix == "m" || suffix == "M" ? 20
                    : suffix == "g" || suffix == "G" ? 30
                                                     : 0;
  const bool understood = failed == std::errc() && value > 0 && (suffix.empty() || shift > 0) &&
                          value <= std::numeric_limits<uint64_t>::max() >> shift;
  return understood ? std::optional(value << shift) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\v\f";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

std::vector<TextLine> lines_of(std::string_view text) {
  std::vector<TextLine> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back({static_cast<uint32_t>(lines.size() + 1), trimmed(text.substr(0, end))});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool matches_glob(std::string_view text, std::string_view pattern) {
  const GlobElements elements{pattern};
  return matches_sequence(elements, text.size(), [text](const GlobElement& element, size_t place) {
    return element.letter == '?' || element.letter == text[place];
  });
}

}  // namespace seep
