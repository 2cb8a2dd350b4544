// SPDX-License-Identifier: Apache-2.0
// What `seep run` puts into the environment of the program. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace seep {

struct PreloadPlan {
  std::string library;  // Absolute path of libseep.so.
  uint64_t sample_bytes = 1;
  std::string directory;      // Absolute; streams go there.
  std::string interval;       // As the user gave it; empty: the preload's default.
  bool scan_at_exit = false;  // Whatever the options say: a gate judges by it.
  std::string announce_file;  // Absolute.
};

// LD_PRELOAD with libseep.so first, before what was in it.
std::string preload_value(const PreloadPlan& plan, const char* existing);

// SEEP_OPTIONS: ours behind the existing ones, so that they win.
std::string options_value(const PreloadPlan& plan, const char* existing);

// The value that SEEP_OPTIONS gives to a key, the last one if there are several; empty: none.
std::string option_in(const char* options, const std::string& key);

}  // namespace seep
