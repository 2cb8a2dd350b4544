// SPDX-License-Identifier: Apache-2.0
// `seep run`: runs a program under observation and says shortly what is still live. The program comes first: its
// streams, its signals and its exit status are its own, and what goes wrong with seep after its start does not change
// them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/progress_line.h"
#include "error.h"
#include "formats/format.h"
#include "formats/human.h"
#include "launch/child.h"
#include "launch/environment.h"
#include "launch/oom_kills.h"
#include "launch/own_stream.h"
#include "launch/preload_library.h"
#include "launch/program.h"
#include "launch/recording_directory.h"
#include "leaks/process_summary.h"
#include "recording/recording.h"
#include "recording/region_search.h"
#include "recovery/region_keeper.h"

namespace seep {
namespace {

constexpr size_t kShortReportSites = 3;
constexpr std::chrono::nanoseconds kDefaultInterval = std::chrono::seconds(10);  // As the preload has it.

constexpr char kExamples[] =
    "Examples:\n"
    "  seep run ./tests                      every allocation, exact numbers\n"
    "  seep run --sample 512k ./server -p 80 cheap enough for production: estimates\n"
    "  seep run -o DIR -- make check         with everything that it starts\n"
    "\n"
    "Exit status: CMD's own, 128+N if signal N killed it; 2 wrong usage, 127 CMD not found, 126 not executable.\n";

struct Arguments {
  bool exact = false;
  std::string sample;
  std::string output;
  bool force = false;
  std::string interval;
  bool full = false;
  bool no_symbol_cache = false;
  std::vector<std::string> command;

  uint64_t sample_bytes() const { return sample.empty() ? 1 : parse_size("--sample", sample); }
  std::chrono::nanoseconds snapshot_interval() const {
    return interval.empty() ? kDefaultInterval : parse_duration("--interval", interval);
  }
};

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

// False: help was asked for, and printed.
bool parse(const std::vector<std::string>& words, Arguments& arguments) {
  CLI::App app("Runs CMD, and all that it starts, under observation. By default every allocation is recorded.",
               "seep run");
  set_usage(app, "seep run [OPTIONS] [--] CMD [ARG...]");
  app.add_flag("--exact", arguments.exact, "record every allocation (default)");
  app.add_option("--sample", arguments.sample, "record a sample, one in so many bytes: 512k, 2m")->type_name("BYTES");
  app.add_option("-o", arguments.output, "directory for the recording (default: seep.NAME.PID here)")->type_name("DIR");
  app.add_flag("--force", arguments.force, "replace a recording in DIR");
  app.add_option("--interval", arguments.interval, "time between snapshots (default: 10s)")->type_name("DUR");
  app.add_flag("--full", arguments.full, "print the whole report at the end");
  add_symbol_cache_option(app, arguments.no_symbol_cache);
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

// One run, from the check of the program to the short report.
class Run {
 public:
  explicit Run(const Arguments& arguments) : arguments_(arguments) {}

  int go() {
    program_ = resolve_program(arguments_.command.front());
    library_ = preload_library_path();
    check_preloadable(library_);
    forecast_ = forecast(program_, library_);
    std::optional<RecordingDirectory> directory;
    if (!arguments_.output.empty()) directory.emplace(arguments_.output, arguments_.force);
    Child child;
    if (!directory) directory.emplace(default_directory(child.pid()), arguments_.force);
    if (forecast_.not_observed) say_not_observed(*forecast_.not_observed);
    start(child, *directory);
    const ChildEnd end = watch(child, directory->path());
    try {
      finish(child, *directory, end);
    } catch (const std::exception& error) {
      say(error.what());
    }
    return end.status();
  }

 private:
  static void say(const std::string& what) {
    const std::string line = "seep: " + what + "\n";
    // The program is done, and its status is what counts: a closed stderr is no reason to change it.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  }

  // LD_PRELOAD is a list with spaces or colons between: a path with either cannot be in it.
  static void check_preloadable(const std::string& library) {
    if (library.find_first_of(": ") == std::string::npos) return;
    throw Error(ExitCode::kUsage, library, "cannot be preloaded: the loader takes no path with a space or a colon");
  }

  std::string name() const { return std::string(module_base_name(arguments_.command.front())); }

  std::string default_directory(pid_t pid) const { return "seep." + name() + "." + std::to_string(pid); }

  void say_not_observed(const proto::NotObserved& why) const {
    say(printable(name()) + " cannot be observed: " + printable(describe(why)));
  }

  void start(Child& child, RecordingDirectory& directory) {
    std::vector<std::pair<std::string, std::string>> environment;
    if (!forecast_.preload_disturbs) {
      const PreloadPlan plan{.library = library_,
                             .sample_bytes = arguments_.sample_bytes(),
                             .directory = directory.path(),
                             .interval = arguments_.interval,
                             .announce_file = directory.announce_file()};
      environment = {{"LD_PRELOAD", preload_value(plan, std::getenv("LD_PRELOAD"))},
                     {"SEEP_OPTIONS", options_value(plan, std::getenv("SEEP_OPTIONS"))}};
    }
    started_unix_ns_ = clock_ns(CLOCK_REALTIME);
    started_monotonic_ns_ = clock_ns(CLOCK_MONOTONIC);
    child.execute(program_, arguments_.command, environment);
    directory.keep();
  }

  // Meanwhile its snapshots are taken here, so that an idle program has them, too.
  ChildEnd watch(Child& child, const std::string& directory) const {
    RegionKeeper regions(directory, option_in(std::getenv("SEEP_OPTIONS"), "region"));
    const auto kills_before = oom_kills();
    ChildEnd end = child.wait(arguments_.snapshot_interval(), [&] { regions.look(); });
    const auto kills = oom_kills();
    end.oom_killed = end.signalled && end.signal == SIGKILL && kills_before && kills && *kills > *kills_before;
    regions.finish();
    return end;
  }

  void finish(const Child& child, RecordingDirectory& directory, const ChildEnd& end) {
    const pid_t pid = child.pid();
    const bool loaded = directory.announced(pid);
    directory.remove_announce_file();
    std::optional<proto::NotObserved> why = finish_stream(directory.path(), {pid, child.start_ticks()}, end);
    if (why) say_not_observed(*why);
    if (forecast_.not_observed) {
      stub(pid, directory, end, *forecast_.not_observed);
    } else if (!loaded) {
      proto::NotObserved not_loaded;
      not_loaded.set_reason(proto::NotObserved::NOT_LOADED);
      say_not_observed(not_loaded);
      stub(pid, directory, end, not_loaded);
    }
    report(directory);
  }

  void stub(pid_t pid, const RecordingDirectory& directory, const ChildEnd& end,
            const proto::NotObserved& not_observed) const {
    std::error_code failed;
    const auto executable = std::filesystem::canonical(program_, failed);
    write_stub({.directory = directory.path(),
                .pid = pid,
                .executable = failed ? program_ : executable.string(),
                .command = arguments_.command,
                .sample_bytes = arguments_.sample_bytes(),
                .started_unix_ns = started_unix_ns_,
                .started_monotonic_ns = started_monotonic_ns_,
                .not_observed = not_observed},
               end);
  }

  std::string nothing_recorded() const {
    if (arguments_.sample.empty()) return printable(name()) + " allocated nothing, and leaves no recording";
    return "nothing was sampled: " + printable(name()) + " allocated too little for --sample " + arguments_.sample +
           ", and leaves no recording";
  }

  void report(RecordingDirectory& directory) const {
    if (streams_in(directory.path()).empty() && regions_of(directory.path()).empty()) {
      say(nothing_recorded());
      return directory.remove_if_made();
    }
    const Recording recording = load_recording({directory.path()});
    for (const Error& problem : recording.problems) say(problem.what());
    Symbolizer symbolizer(arguments_.no_symbol_cache ? std::nullopt : SymbolCache::of_user());
    ProgressLine progress("looking up functions");
    const Profile profile =
        build_profile(recording, symbolizer, [&](size_t done, size_t all) { progress.show(done, all); });
    const std::string shown_path = shell_quoted(directory.given_path());
    if (!profile.observed()) return say("nothing was recorded but that, in " + shown_path);
    std::string output;
    write_text_report(profile,
                      {.top = arguments_.full ? std::nullopt : std::optional(kShortReportSites),
                       .full = arguments_.full,
                       .color = wants_color(STDERR_FILENO),
                       .short_report = !arguments_.full,
                       .next_command_paths = shown_path},
                      output);
    write_output(STDERR_FILENO, "\n" + output);
  }

  const Arguments& arguments_;
  std::string program_;
  std::string library_;
  Forecast forecast_;
  uint64_t started_unix_ns_ = 0;
  uint64_t started_monotonic_ns_ = 0;
};

}  // namespace

int run_command(const std::vector<std::string>& words) {
  Arguments arguments;
  if (!parse(words, arguments)) return static_cast<int>(ExitCode::kFine);
  return Run(arguments).go();
}

}  // namespace seep
