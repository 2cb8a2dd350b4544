// SPDX-License-Identifier: Apache-2.0
// Reading the command line of `seep run`.
#include "commands/run_arguments.h"

#include "commands/arguments.h"

namespace seep {
namespace {

constexpr std::chrono::nanoseconds kDefaultInterval = std::chrono::seconds(10);  // As the preload has it.

constexpr char kExamples[] =
    "Examples:\n"
    "  seep run ./tests                      every allocation, exact numbers\n"
    "  seep run --sample 512k ./server -p 80 cheap enough for production: estimates\n"
    "  seep run -o DIR -- make check         with everything that it starts\n"
    "\n"
    "Exit status: CMD's own, 128+N if signal N killed it; 2 wrong usage, 127 CMD not found, 126 not executable.\n";

// Where CMD begins: behind `--`, or at the first word that is neither an option nor an option's value. Its own options
// must never be read as ours.
size_t command_start(CLI::App& app, const std::vector<std::string>& words) {
  for (size_t index = 0; index < words.size(); ++index) {
    const std::string& word = words[index];
    if (word == "--" || !word.starts_with('-')) return index;
    const CLI::Option* option = app.get_option_no_throw(word);
    if (option != nullptr && option->get_expected_max() > 0 && option->get_type_size() > 0) ++index;
  }
  return words.size();
}

}  // namespace

uint64_t RunArguments::sample_bytes() const { return sample.empty() ? 1 : parse_size("--sample", sample); }

std::chrono::nanoseconds RunArguments::snapshot_interval() const {
  return interval.empty() ? kDefaultInterval : parse_duration("--interval", interval);
}

bool parse_run_arguments(const std::vector<std::string>& words, RunArguments& arguments) {
  CLI::App app("Runs CMD, and all that it starts, under observation. By default every allocation is recorded.",
               "seep run");
  set_usage(app, "seep run [OPTIONS] [--] CMD [ARG...]");
  app.add_flag("--exact", arguments.exact, "record every allocation (default)");
  app.add_option("--sample", arguments.sample, "record a sample, one in so many bytes: 512k, 2m")->type_name("BYTES");
  app.add_option("-o", arguments.output, "directory for the recording (default: seep.NAME.PID here)")->type_name("DIR");
  app.add_flag("--force", arguments.force, "replace a recording in DIR");
  app.add_option("--interval", arguments.interval, "time between snapshots (default: 10s)")->type_name("DUR");
  app.add_flag("--full", arguments.full, "print the whole report at the end");
  app.add_flag("--compress", arguments.compress, "compress the recording at the end, as seep compress does");
  add_symbol_cache_option(app, arguments.no_symbol_cache);
  CLI::Option* gate = app.add_flag("--gate", arguments.gate, "pass or fail by what is leaked, with an exit code");
  app.add_option("--leak-exitcode", arguments.leak_exit_code, "the exit status where the gate fails (default: 23)")
      ->type_name("N")
      ->group("Gate")
      ->needs(gate)
      ->check(CLI::Range(1, 255));
  add_gate_options(app, arguments.gating, gate);
  app.footer(kExamples);
  const size_t start = command_start(app, words);
  const auto command = words.begin() + static_cast<ptrdiff_t>(start);
  if (parse_arguments(app, {words.begin(), command})) return false;
  arguments.command.assign(command, words.end());
  if (!arguments.command.empty() && arguments.command.front() == "--") {
    arguments.command.erase(arguments.command.begin());
  }
  if (arguments.command.empty()) throw Error(ExitCode::kUsage, "no command to run (see seep run --help)");
  if (arguments.exact && !arguments.sample.empty())
    throw Error(ExitCode::kUsage, "--exact and --sample exclude each other");
  (void)arguments.snapshot_interval();  // Both throw where it is none.
  (void)arguments.sample_bytes();
  return true;
}

}  // namespace seep
