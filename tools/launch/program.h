// SPDX-License-Identifier: Apache-2.0
// The program that `seep run` is to start: where it is, and whether libseep.so can be loaded into it.
//
// Only reads files. What is found out is a forecast: the loader decides.
#pragma once

#include <optional>
#include <string>

#include "seep.pb.h"

namespace seep {

// The path of a command as a shell finds it. Throws an Error (kNotFound or kNotExecutable).
std::string resolve_program(const std::string& name);

struct Forecast {
  // Set: it cannot be observed, and why.
  std::optional<proto::NotObserved> not_observed;
  // Preloading would disturb the program: its loader or its sanitizer complains. Otherwise it is preloaded all the
  // same, for the sake of the programs that it starts.
  bool preload_disturbs = false;
};

// Follows `#!` lines to the file that the kernel will load.
Forecast forecast(const std::string& program_path, const std::string& preload_path);

}  // namespace seep
