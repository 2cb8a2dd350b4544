// SPDX-License-Identifier: Apache-2.0
// `seep compress`: finished streams become a quarter or less of their size, and are read as before.
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "compression/recording_compression.h"
#include "error.h"
#include "recovery/fold.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep compress seep.server.4711        each X.seep in it becomes X.seep.zst\n"
    "  seep compress a.seep b.seep           these alone\n"
    "  zstd -d X.seep.zst                    back again, if need be: every command reads both\n"
    "\n"
    "Streams of processes that still run, or may, are left as they are. What a dead process left in shared memory is\n"
    "folded into its stream before.\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, 3 one could not be read or replaced.\n";

}  // namespace

int compress_command(const std::vector<std::string>& words) {
  CLI::App app("Compresses the finished streams of recordings, each in its place.", "seep compress");
  set_usage(app, "seep compress PATH...");
  std::vector<std::string> paths;
  app.add_option("PATH", paths, "recording directories or streams")->required();
  app.footer(kExamples);
  if (parse_arguments(app, words)) return static_cast<int>(ExitCode::kFine);
  fold_before_reading(paths);
  RecordingCompression compression;
  for (const std::string& path : paths) compression.add(path);
  std::string output;
  for (const std::string& line : compression.left()) output += line + "\n";
  write_output(STDOUT_FILENO, output + compression.summary() + "\n");
  std::string complaints;
  for (const Error& problem : compression.problems()) complaints += std::string("seep: ") + problem.what() + "\n";
  write_output(STDERR_FILENO, complaints);
  return static_cast<int>(compression.problems().empty() ? ExitCode::kFine : ExitCode::kUnreadable);
}

}  // namespace seep
