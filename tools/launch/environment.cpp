// SPDX-License-Identifier: Apache-2.0
// Composing LD_PRELOAD and SEEP_OPTIONS.
#include "launch/environment.h"

namespace seep {
namespace {

// Puts `escape` before each `special`.
std::string with_escaped(const std::string& value, char special, char escape) {
  std::string escaped;
  for (const char c : value) {
    if (c == special) escaped += escape;
    escaped += c;
  }
  return escaped;
}

// In SEEP_OPTIONS a colon ends an option.
std::string with_escaped_colons(const std::string& value) { return with_escaped(value, ':', '\\'); }

// In the name of a stream a percent sign begins a placeholder.
std::string with_escaped_percents(const std::string& value) { return with_escaped(value, '%', '%'); }

}  // namespace

std::string preload_value(const PreloadPlan& plan, const char* existing) {
  const bool any = existing != nullptr && *existing != '\0';
  return any ? plan.library + ":" + existing : plan.library;
}

std::string options_value(const PreloadPlan& plan, const char* existing) {
  std::string options = existing == nullptr ? "" : existing;
  const auto add = [&options](const std::string& key, const std::string& value) {
    if (!options.empty()) options += ':';
    options += key + "=" + with_escaped_colons(value);
  };
  add("sample", std::to_string(plan.sample_bytes));
  add("out", with_escaped_percents(plan.directory) + "/%e.%p.seep");
  if (!plan.interval.empty()) add("interval", plan.interval);
  add("announce", plan.announce_file);
  return options;
}

}  // namespace seep
