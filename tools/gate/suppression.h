// SPDX-License-Identifier: Apache-2.0
// A rule that says of leaks: known, and not to be failed for. Made of a suppression file's entry. Plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gate/origin.h"
#include "gate/toml_file.h"
#include "gate/verdict_set.h"
#include "leaks/profile.h"

namespace seep {

// How much there may be at most; nothing: any amount.
struct Limits {
  std::optional<uint64_t> bytes;
  std::optional<uint64_t> blocks;

  bool any() const { return bytes || blocks; }
};

struct Suppression {
  std::string text;  // On one line, as it is shown.
  Origin origin;
  std::function<bool(const ShownStack&)> matches;  // One thread.
  VerdictSet kinds = VerdictSet::all();
  Limits most;                                   // Of all that it suppresses.
  std::optional<std::chrono::sys_days> expires;  // The last day on which it holds (UTC).
  std::string reason;
  std::string trouble;  // Why it can match nothing, if that is known.
};

// The entries of a file of LeakSanitizer's, Valgrind's, or our own format, which its first line tells. Throws an Error
// (kUsage) with file and line where it is none of them.
std::vector<Suppression> read_suppressions(const std::string& path);
std::vector<Suppression> parse_suppressions(const std::string& text, const std::string& path);

// One each for the formats. LeakSanitizer's: `leak:PATTERN`, a line each.
std::vector<Suppression> parse_lsan_suppressions(const std::string& text, const std::string& path);
// Valgrind's: of Memcheck:Leak. Those of other tools and errors are passed over.
std::vector<Suppression> parse_valgrind_suppressions(const std::string& text, const std::string& path);
// Ours: [[suppress]] in TOML.
std::vector<Suppression> parse_seep_suppressions(const std::string& text, const std::string& path);
// The same from a file in which other things stand, too: the tables of the key "suppress".
std::vector<Suppression> suppressions_in(TomlTable& table);

// The verdicts that a key lists by their words; nothing where it is not there.
std::optional<VerdictSet> verdicts_in(TomlTable& table, const std::string& key);

// `leak:PATTERN` without a file.
Suppression suppression_of(const std::string& pattern, const Origin& origin);

}  // namespace seep
