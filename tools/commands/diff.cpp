// SPDX-License-Identifier: Apache-2.0
// `seep diff`: what is different between two recordings, site by site.
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/outputs.h"
#include "commands/reading.h"
#include "error.h"
#include "formats/difference_report.h"
#include "gate/difference.h"
#include "gate/policy.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep diff seep.tests.1200 seep.tests.1300   what leaks now, and did not (or less) before\n"
    "  seep diff --of allocated OLD NEW            all that was allocated\n"
    "  seep diff --exit-code --markdown diff.md OLD NEW\n"
    "\n"
    "Exit status: 0 compared, 2 wrong usage, 3 a recording could not be read, or not whole; with --exit-code 1 where\n"
    "something is new or has grown.\n";

struct DiffArguments {
  std::string before, after;
  std::string quantity;
  double confidence = kConfidence;
  bool exit_code = false;
  bool full = false;
  bool no_symbol_cache = false;
  OutputArguments outputs;
};

bool has_difference(const Format& format) { return format.write_difference != nullptr; }

// False: help was asked for, and printed.
bool parse(const std::vector<std::string>& words, DiffArguments& arguments) {
  CLI::App app("Shows which sites are new, grown, shrunk or gone between two recordings.", "seep diff");
  set_usage(app, "seep diff [OPTIONS] OLD NEW");
  app.add_option("OLD", arguments.before, "a recording: a directory, or a .seep file")->required();
  app.add_option("NEW", arguments.after, "another")->required();
  app.add_option("--of", arguments.quantity, "leaked, live or allocated (default: leaked, if both had a leak scan)")
      ->type_name("QUANTITY")
      ->check(CLI::IsMember({"leaked", "live", "allocated"}));
  app.add_option("--confidence", arguments.confidence, "of what is told from samples (default: 0.95)")
      ->type_name("SHARE");
  app.add_flag("--exit-code", arguments.exit_code, "1 where something is new or has grown");
  app.add_flag("--full", arguments.full, "all sites, also those that are as before, and whole stacks");
  add_symbol_cache_option(app, arguments.no_symbol_cache);
  add_output_options(app, arguments.outputs, "Options", nullptr, has_difference);
  app.footer(kExamples);
  if (parse_arguments(app, words)) return false;
  check_confidence({"--confidence"}, arguments.confidence);
  return true;
}

Quantity quantity_of(const DiffArguments& arguments, const Profile& before, const Profile& after) {
  for (const Quantity quantity : {Quantity::kLeaked, Quantity::kLive, Quantity::kAllocated}) {
    if (arguments.quantity == word(quantity)) return quantity;
  }
  return best_quantity(before, after);
}

// Both recordings of which one is symbolized by the other's names would be told apart: each has its own.
struct Side {
  Recording recording;
  Symbolizer symbolizer;
  Profile profile;

  Side(const std::string& path, bool no_symbol_cache) : symbolizer(make_symbolizer(no_symbol_cache)) {
    std::vector<std::string> paths = {path};
    recording = read_folded(paths);
    profile = profile_with_progress(recording, symbolizer);
  }
};

}  // namespace

int diff_command(const std::vector<std::string>& words) {
  DiffArguments arguments;
  if (!parse(words, arguments)) return static_cast<int>(ExitCode::kFine);
  const Outputs outputs(arguments.outputs, has_difference);
  const Side before(arguments.before, arguments.no_symbol_cache), after(arguments.after, arguments.no_symbol_cache);
  std::vector<std::string> problems;
  for (const Side* side : {&before, &after}) {
    for (const Error& problem : side->recording.problems) problems.emplace_back(problem.what());
    if (!side->profile.observed())
      problems.push_back((side == &before ? arguments.before : arguments.after) + ": nothing was observed");
  }
  for (const std::string& problem : problems) write_output(STDERR_FILENO, "seep: " + problem + "\n");
  if (before.recording.processes.empty() || after.recording.processes.empty()) {
    return static_cast<int>(ExitCode::kUnreadable);
  }
  const Quantity quantity = quantity_of(arguments, before.profile, after.profile);
  const Difference difference = difference_between(before.profile, after.profile, quantity, arguments.confidence);
  const DifferenceReport report{before.profile, after.profile, difference, problems};
  const ReportOptions shown{.full = arguments.full,
                            .color = wants_color(STDOUT_FILENO),
                            .next_command_paths = shell_words({arguments.after})};
  write_output(
      STDOUT_FILENO,
      outputs.write(after.profile, shown, [&](const Format& format, const ReportOptions& options, std::string& output) {
        format.write_difference(report, options, output);
      }));
  if (!problems.empty()) return static_cast<int>(ExitCode::kUnreadable);
  const bool more = difference.count(Direction::kNew) + difference.count(Direction::kGrown) > 0;
  return static_cast<int>(arguments.exit_code && more ? ExitCode::kGateFailed : ExitCode::kFine);
}

}  // namespace seep
