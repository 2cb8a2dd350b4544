// SPDX-License-Identifier: Apache-2.0
// The outputs that `seep gate`, `seep run --gate` and `seep diff` share: one format that is shown, any others into
// files, and what GitHub wants.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "formats/format.h"

namespace seep {

// As they were given.
struct OutputArguments {
  std::string format = "text";
  std::vector<std::pair<const Format*, std::string>> files;
  bool github = false;
  std::string source_root;
  std::optional<size_t> top;
};

// Adds them to `group`; each that is given needs `needed`, if that is not null. `has`: whether a format is one of
// these.
void add_output_options(CLI::App& app, OutputArguments& arguments, const std::string& group, CLI::Option* needed,
                        bool (*has)(const Format& format));

class Outputs {
 public:
  // Throws an Error (kUsage) where there is no such format, or a file could not be made for want of its directory: that
  // is better known before a program has run for an hour.
  Outputs(OutputArguments arguments, bool (*has)(const Format& format));

  using Writer = std::function<void(const Format& format, const ReportOptions& options, std::string& output)>;
  // Writes the files, and returns what is to be shown. `profile`: for their names. `shown`: how the shown format is.
  // Throws an Error (kUsage) where a file cannot be written.
  std::string write(const Profile& profile, ReportOptions shown, const Writer& writer) const;

 private:
  OutputArguments arguments_;
  const Format* format_ = nullptr;
  std::string source_root_;
};

}  // namespace seep
