// SPDX-License-Identifier: Apache-2.0
// The command line of `seep run`: its own options, and behind them the program's, which are never read as ours.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "commands/gating.h"
#include "error.h"

namespace seep {

struct RunArguments {
  bool exact = false;
  std::string sample;
  std::string output;
  bool force = false;
  std::string interval;
  bool full = false;
  bool compress = false;
  bool no_symbol_cache = false;
  bool gate = false;
  GateArguments gating;
  int leak_exit_code = static_cast<int>(ExitCode::kLeaksFound);
  std::vector<std::string> command;

  uint64_t sample_bytes() const;
  std::chrono::nanoseconds snapshot_interval() const;
};

// False: help was asked for, and printed. Throws an Error (kUsage) where the command line is wrong.
bool parse_run_arguments(const std::vector<std::string>& words, RunArguments& arguments);

}  // namespace seep
