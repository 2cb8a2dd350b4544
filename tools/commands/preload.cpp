// SPDX-License-Identifier: Apache-2.0
// `seep preload`: prints where libseep.so is, for use without `seep run`.
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "error.h"
#include "launch/preload_library.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Example:\n"
    "  LD_PRELOAD=$(seep preload) ./server\n"
    "  SEEP_OPTIONS=sample=1m:interval=60s LD_PRELOAD=$(seep preload) ./server\n";

}  // namespace

int preload_command(const std::vector<std::string>& words) {
  CLI::App app("Prints the path of libseep.so, which records any program that it is preloaded into.", "seep preload");
  set_usage(app, "seep preload");
  app.footer(kExamples);
  if (parse_arguments(app, words)) return static_cast<int>(ExitCode::kFine);
  write_output(STDOUT_FILENO, preload_library_path() + "\n");
  return static_cast<int>(ExitCode::kFine);
}

}  // namespace seep
