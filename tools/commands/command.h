// SPDX-License-Identifier: Apache-2.0
// The registry of subcommands. A new command is one file and one line in command.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seep {

struct Command {
  std::string_view name;
  std::string_view summary;
  // `arguments` are those behind the command's name. Returns the exit status; throws an Error.
  int (*run)(const std::vector<std::string>& arguments);
};

std::span<const Command> all_commands();

int run_command(const std::vector<std::string>& arguments);
int preload_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int gate_command(const std::vector<std::string>& arguments);
int diff_command(const std::vector<std::string>& arguments);
int snapshot_command(const std::vector<std::string>& arguments);
int compress_command(const std::vector<std::string>& arguments);
int clean_command(const std::vector<std::string>& arguments);

}  // namespace seep
