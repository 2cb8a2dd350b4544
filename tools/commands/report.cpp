// SPDX-License-Identifier: Apache-2.0
// `seep report`: reads recordings and shows what is leaked, or was still live. What dead processes left is folded
// into their streams before; nothing of a running one is changed.
#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/reading.h"
#include "error.h"
#include "formats/format.h"
#include "leaks/profile.h"
#include "recording/recording.h"
#include "recording/region_search.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep report                         the newest recording in this directory\n"
    "  seep report seep.server.4242        a recording: a directory of streams\n"
    "  seep report --orphans               what dead processes left in shared memory (seep clean removes it)\n"
    "  seep report --format json FILE.seep | jq '.sites[0]'\n"
    "\n"
    "Exit status: 0 shown, 2 wrong usage, 3 a recording (or a part of it) could not be read, or nothing was "
    "observed.\n";

struct Arguments {
  std::vector<std::string> paths;
  std::string format = "text";
  std::optional<size_t> top;
  bool full = false;
  bool orphans = false;
  bool no_symbol_cache = false;
};

// False: help was asked for, and printed.
bool parse(const std::vector<std::string>& words, Arguments& arguments) {
  CLI::App app(
      "Shows what is leaked in a recording, or still live: how much, where it was allocated, and how sure that is.",
      "seep report");
  set_usage(app, "seep report [OPTIONS] [PATH...]");
  app.add_option("PATH", arguments.paths, "recordings: directories, or .seep files (default: the newest one here)");
  app.add_option("--format", arguments.format, "text (default) or json");
  app.add_option("--top", arguments.top, "show only the first N sites")->type_name("N");
  app.add_flag("--full", arguments.full, "all sites, whole stacks, runtime frames too");
  app.add_flag("--orphans", arguments.orphans,
               "what dead processes left in shared memory; PATH then is where regions lie (default: /dev/shm)");
  add_symbol_cache_option(app, arguments.no_symbol_cache);
  app.footer(kExamples);
  return !parse_arguments(app, words);
}

std::string command_words(const Arguments& arguments) {
  const std::string words = shell_words(arguments.paths);
  return arguments.orphans ? "--orphans " + words : words;
}

Recording load(Arguments& arguments) {
  if (!arguments.orphans) return read_folded(arguments.paths);
  if (arguments.paths.empty()) arguments.paths.push_back(kRegionDirectory);
  Recording recording = load_orphans(arguments.paths);
  if (recording.processes.empty() && recording.problems.empty()) {
    throw Error(ExitCode::kUnreadable, arguments.paths.front(), "holds nothing that a dead process left");
  }
  return recording;
}

// Made for as long as the process runs: what a report is made of is so much and so small that to free it takes time
// that somebody waits for, and the process ends then anyway.
template <typename Made>
Made& kept(Made made) {
  return *std::make_unique<Made>(std::move(made)).release();
}

}  // namespace

int report_command(const std::vector<std::string>& words) {
  Arguments arguments;
  if (!parse(words, arguments)) return static_cast<int>(ExitCode::kFine);
  const Format* format = find_format(arguments.format);
  if (format == nullptr || format->write_report == nullptr) {
    throw Error(ExitCode::kUsage, "--format: '" + arguments.format + "' is neither text nor json");
  }
  const Recording& recording = kept(load(arguments));
  for (const Error& problem : recording.problems) {
    write_output(STDERR_FILENO, std::string("seep: ") + problem.what() + "\n");
  }
  if (recording.processes.empty()) return static_cast<int>(ExitCode::kUnreadable);

  auto& symbolizer = kept(make_symbolizer(arguments.no_symbol_cache));
  const Profile& profile = kept(profile_with_progress(recording, symbolizer));
  std::string output;
  format->write_report(profile,
                       {.top = arguments.top,
                        .full = arguments.full,
                        .color = wants_color(STDOUT_FILENO),
                        .next_command_paths = command_words(arguments)},
                       output);
  write_output(STDOUT_FILENO, output);
  const bool whole = recording.problems.empty() && profile.observed();
  return static_cast<int>(whole ? ExitCode::kFine : ExitCode::kUnreadable);
}

}  // namespace seep
