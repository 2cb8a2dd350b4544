// SPDX-License-Identifier: Apache-2.0
// `seep gate`: one verdict on recordings, by a policy, with an exit code.
#include <unistd.h>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/gating.h"
#include "commands/reading.h"
#include "error.h"
#include "formats/human.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep gate                              the newest recording in this directory: no definite leak\n"
    "  seep gate --policy seep.toml DIR       by the rules of a file\n"
    "  seep gate --baseline leaks.toml --update DIR\n"
    "                                         makes the baseline of what leaks now, later lowers it\n"
    "  seep gate --sarif leaks.sarif --junit leaks.xml DIR1 DIR2\n"
    "  seep gate --suggest DIR >> seep.toml   the suppressions that let these leaks pass\n"
    "\n"
    "Exit status: 0 passed, 1 failed, 2 wrong usage (or a bad policy, suppression or baseline), 3 not judged: a\n"
    "recording is damaged or unfinished, or something was not observed.\n";

int exit_code(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed: return static_cast<int>(ExitCode::kFine);
    case Outcome::kFailed: return static_cast<int>(ExitCode::kGateFailed);
    case Outcome::kNotJudged: break;
  }
  return static_cast<int>(ExitCode::kUnreadable);
}

}  // namespace

int gate_command(const std::vector<std::string>& words) {
  CLI::App app("Judges recordings: passes or fails, by which rule, and where. By default any definite leak fails.",
               "seep gate");
  set_usage(app, "seep gate [OPTIONS] [PATH...]");
  GateArguments arguments;
  std::vector<std::string> paths;
  bool full = false;
  bool no_symbol_cache = false;
  add_gate_options(app, arguments, nullptr);
  app.add_flag("--full", full, "all sites that count, also those that pass, and whole stacks");
  add_symbol_cache_option(app, no_symbol_cache);
  app.add_option("PATH", paths, "recordings: directories, or .seep files (default: the newest one here)");
  app.footer(kExamples);
  if (parse_arguments(app, words)) return static_cast<int>(ExitCode::kFine);
  Gating gating(arguments);
  const Recording recording = read_folded(paths);
  for (const Error& problem : recording.problems) {
    write_output(STDERR_FILENO, std::string("seep: ") + problem.what() + "\n");
  }
  Symbolizer symbolizer = make_symbolizer(no_symbol_cache);
  const Profile profile = profile_with_progress(recording, symbolizer);
  const Gating::Judged judged =
      gating.judge(profile, recording.problems, true, true,
                   {.full = full, .color = wants_color(STDOUT_FILENO), .next_command_paths = shell_words(paths)});
  write_output(STDOUT_FILENO, judged.text);
  return exit_code(judged.outcome);
}

}  // namespace seep
