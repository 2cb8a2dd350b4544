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
  if (plan.scan_at_exit) add("scan", "exit");
  add("announce", plan.announce_file);
  return options;
}

std::string option_in(const char* options, const std::string& key) {
  std::string found, option;
  const std::string text = options == nullptr ? "" : options;
  const auto take = [&] {
    if (option.starts_with(key + "=")) found = option.substr(key.size() + 1);
    option.clear();
  };
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 1 < text.size() && text[at + 1] == ':') option += text[++at];
    else if (text[at] == ':') take();
    else option += text[at];
  }
  take();
  return found;
}

}  // namespace seep
