// SPDX-License-Identifier: Apache-2.0
// Which format a suppression file is of, and LeakSanitizer's.
#include <absl/container/flat_hash_map.h>

#include <memory>

#include "gate/suppression.h"
#include "gate/text_file.h"
#include "leaks/name_pattern.h"
#include "text.h"

namespace seep {
namespace {

constexpr std::string_view kLeak = "leak:";

// "[[suppress]]", or a key with its value.
bool is_toml(std::string_view line) {
  if (line.starts_with('[')) return true;
  const size_t equals = line.find('=');
  return equals != line.npos && trimmed(line.substr(0, equals)).find_first_of(" \t:") == line.npos;
}

}  // namespace

Suppression suppression_of(const std::string& pattern, const Origin& origin) {
  Suppression suppression{.text = std::string(kLeak) + pattern, .origin = origin};
  const auto name = std::make_shared<NamePattern>(pattern);
  const auto known = std::make_shared<absl::flat_hash_map<const Frame*, bool>>();
  suppression.matches = [name, known](const ShownStack& shown) {
    for (const Frame* frame : shown.frames()) {
      const auto [entry, is_new] = known->try_emplace(frame, false);
      if (is_new) entry->second = name->matches_frame(*frame);
      if (entry->second) return true;
    }
    return false;
  };
  return suppression;
}

std::vector<Suppression> parse_lsan_suppressions(const std::string& text, const std::string& path) {
  std::vector<Suppression> suppressions;
  for (const TextLine& line : lines_of(text)) {
    const Origin origin{path, line.number};
    if (line.text.empty() || line.text.starts_with('#')) continue;
    if (!line.text.starts_with(kLeak)) {
      throw usage_error(origin, "is no suppression: '" + printable(line.text.substr(0, 40)) +
                                    "' (LeakSanitizer's are leak:PATTERN, Valgrind's begin with {, seep's with "
                                    "[[suppress]])");
    }
    const std::string_view pattern = trimmed(line.text.substr(kLeak.size()));
    if (pattern.empty()) throw usage_error(origin, "has no pattern behind leak:, and would match everything");
    // No name has that in it.
    if (pattern.find(" leak:") != pattern.npos) throw usage_error(origin, "has a second leak: on its line");
    suppressions.push_back(suppression_of(std::string(pattern), origin));
  }
  return suppressions;
}

std::vector<Suppression> parse_suppressions(const std::string& text, const std::string& path) {
  for (const TextLine& line : lines_of(text)) {
    if (line.text.empty() || line.text.starts_with('#')) continue;
    if (line.text.starts_with('{')) return parse_valgrind_suppressions(text, path);
    if (is_toml(line.text)) return parse_seep_suppressions(text, path);
    break;
  }
  return parse_lsan_suppressions(text, path);
}

std::vector<Suppression> read_suppressions(const std::string& path) {
  return parse_suppressions(read_text_file(path), path);
}

}  // namespace seep
