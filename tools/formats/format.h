// SPDX-License-Identifier: Apache-2.0
// The registry of formats. A new format is one file and one line in format.cpp.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "leaks/profile.h"

namespace seep {

struct GateReport;
struct DifferenceReport;

struct ReportOptions {
  std::optional<size_t> top;       // Show so many sites; nothing: as many as the format thinks fit.
  bool full = false;               // Unfold runtime frames, show whole stacks and all sites.
  bool color = false;              // The output is a terminal that wants colours.
  bool short_report = false;       // After `seep run`: what fits under the program's own output.
  std::string next_command_paths;  // The recording's paths, as the next command line would name them.
  std::string source_root;         // Absolute: source files below it are named relative to it.
};

// Null: there is no such format of that. Each appends to `output`.
struct Format {
  std::string_view name;
  std::string_view description;
  void (*write_report)(const Profile& profile, const ReportOptions& options, std::string& output);
  void (*write_gate)(const GateReport& gate, const ReportOptions& options, std::string& output);
  void (*write_difference)(const DifferenceReport& report, const ReportOptions& options, std::string& output);
};

std::span<const Format> all_formats();

// Null where there is no such format.
const Format* find_format(std::string_view name);

void write_text_report(const Profile& profile, const ReportOptions& options, std::string& output);
void write_json_report(const Profile& profile, const ReportOptions& options, std::string& output);
void write_gate_text(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_json(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_sarif(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_junit(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_annotations(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_markdown(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_gate_valgrind(const GateReport& gate, const ReportOptions& options, std::string& output);
void write_difference_text(const DifferenceReport& report, const ReportOptions& options, std::string& output);
void write_difference_json(const DifferenceReport& report, const ReportOptions& options, std::string& output);
void write_difference_sarif(const DifferenceReport& report, const ReportOptions& options, std::string& output);
void write_difference_junit(const DifferenceReport& report, const ReportOptions& options, std::string& output);
void write_difference_annotations(const DifferenceReport& report, const ReportOptions& options, std::string& output);
void write_difference_markdown(const DifferenceReport& report, const ReportOptions& options, std::string& output);

}  // namespace seep
