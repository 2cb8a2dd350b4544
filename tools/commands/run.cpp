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
#include <map>
#include <optional>

#include "commands/arguments.h"
#include "commands/command.h"
#include "commands/gating.h"
#include "commands/reading.h"
#include "commands/run_arguments.h"
#include "compression/recording_compression.h"
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
#include "recording/stream_listing.h"
#include "recovery/region_keeper.h"

namespace seep {
namespace {

constexpr size_t kShortReportSites = 3;

// One run, from the check of the program to the short report.
class Run {
 public:
  explicit Run(const RunArguments& arguments) : arguments_(arguments) {}

  int go() {
    if (arguments_.gate) gating_.emplace(arguments_.gating);
    program_ = resolve_program(arguments_.command.front());
    library_ = preload_library_path();
    check_preloadable(library_);
    forecast_ = forecast(program_, library_);
    using Use = RecordingDirectory::Use;
    const std::string region_place = option_in(std::getenv("SEEP_OPTIONS"), "region");
    std::optional<RecordingDirectory> directory;
    if (!arguments_.output.empty()) {
      directory.emplace(arguments_.output, arguments_.force ? Use::kReplace : Use::kAsNamed, region_place);
    }
    Child child;
    if (!directory) directory.emplace(default_directory(child.pid()), Use::kNewName);
    if (forecast_.not_observed) say_not_observed(*forecast_.not_observed);
    start(child, *directory);
    const ChildEnd end = watch(child, directory->path());
    int judged = static_cast<int>(ExitCode::kFine);
    try {
      judged = finish(child, *directory, end);
    } catch (const std::exception& error) {
      say(error.what());
      if (gating_) judged = static_cast<int>(ExitCode::kUnreadable);
    }
    if (arguments_.compress) compress(*directory);
    return end.status() == 0 ? judged : end.status();
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
                             .scan_at_exit = gating_ && gating_->policy().needs_verdicts(),
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

  // The exit code of the gate; 0 where there is none.
  int finish(const Child& child, RecordingDirectory& directory, const ChildEnd& end) {
    const pid_t pid = child.pid();
    const std::map<pid_t, size_t> announcements = directory.announcements();
    const bool loaded = announcements.contains(pid);
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
    write_stubs_of_unseen_successors(directory.path(), announcements);
    if (gating_) return gate(directory, pid, end);
    report(directory);
    return static_cast<int>(ExitCode::kFine);
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

  static bool is_empty(const RecordingDirectory& directory) {
    return streams_in(directory.path()).empty() && regions_of(directory.path()).empty();
  }

  void report(RecordingDirectory& directory) const {
    if (is_empty(directory)) {
      say(nothing_recorded());
      return directory.remove_if_made();
    }
    const Recording recording = load_recording({directory.path()});
    for (const Error& problem : recording.problems) say(problem.what());
    Symbolizer symbolizer = make_symbolizer(arguments_.no_symbol_cache);
    const Profile profile = profile_with_progress(recording, symbolizer);
    const std::string shown_path = shell_quoted(directory.given_path());
    if (!profile.observed()) return say("nothing was recorded but that, in " + shown_path);
    std::string output;
    write_text_report(profile, shown(directory), output);
    write_output(STDERR_FILENO, "\n" + output);
  }

  ReportOptions shown(const RecordingDirectory& directory) const {
    return {.top = arguments_.full ? std::nullopt : std::optional(kShortReportSites),
            .full = arguments_.full,
            .color = wants_color(STDERR_FILENO),
            .short_report = !arguments_.full,
            .next_command_paths = shell_quoted(directory.given_path())};
  }

  int gate(RecordingDirectory& directory, pid_t pid, const ChildEnd& end) {
    Recording recording;
    Profile profile;
    Symbolizer symbolizer = make_symbolizer(arguments_.no_symbol_cache);
    if (is_empty(directory)) {
      say(nothing_recorded());
      profile = profile_of_nothing(pid, end);
    } else {
      recording = load_recording({directory.path()});
      for (const Error& problem : recording.problems) say(problem.what());
      profile = profile_with_progress(recording, symbolizer);
    }
    // Without -o nothing is left behind where there is nothing to look at; but who still runs writes on.
    const bool kept = !arguments_.output.empty() || profile.still_running();
    const Gating::Judged judged =
        gating_->judge(profile, recording.problems, end.status() == 0, kept, shown(directory));
    write_output(STDERR_FILENO, "\n" + judged.text);
    if (end.status() != 0) say("the exit status is the command's own, " + std::to_string(end.status()));
    if (!kept && judged.outcome == Outcome::kPassed) directory.remove_streams_if_made();
    switch (judged.outcome) {
      case Outcome::kPassed: return static_cast<int>(ExitCode::kFine);
      case Outcome::kFailed: return arguments_.leak_exit_code;
      case Outcome::kNotJudged: break;
    }
    return static_cast<int>(ExitCode::kUnreadable);
  }

  // After all that is told of it. Where a passing gate left nothing, there is nothing to say.
  static void compress(const RecordingDirectory& directory) {
    std::error_code failed;
    if (!std::filesystem::exists(directory.path(), failed) || is_empty(directory)) return;
    RecordingCompression compression;
    compression.add(directory.path());
    for (const std::string& line : compression.left()) say(line);
    for (const Error& problem : compression.problems()) say(problem.what());
    say(compression.summary());
  }

  // The program was observed, and made no allocation (sampled: none that was sampled), so that there is no stream.
  Profile profile_of_nothing(pid_t pid, const ChildEnd& end) const {
    ProcessSummary process;
    process.pid = static_cast<uint32_t>(pid);
    process.executable = program_;
    process.command = arguments_.command;
    process.sample_bytes = arguments_.sample_bytes();
    process.ended = end.signalled ? Ended::kSignal : Ended::kExit;
    process.signal = static_cast<uint32_t>(end.signal);
    process.judged_at_end = true;
    Profile profile;
    profile.processes.push_back(process);
    profile.coverage.observed_processes = 1;
    profile.sampled = process.sample_bytes != 1;
    // Under a bound of its own memory it is not known that there was nothing to record.
    if (!option_in(std::getenv("SEEP_OPTIONS"), "max_memory").empty()) {
      profile.processes.front().observed = false;
      profile.processes.front().not_observed_reason = "it recorded nothing, under the bound of max_memory";
      profile.coverage.observed_processes = 0;
      profile.coverage.unobserved_processes = 1;
    }
    return profile;
  }

  const RunArguments& arguments_;
  std::string program_;
  std::string library_;
  Forecast forecast_;
  std::optional<Gating> gating_;
  uint64_t started_unix_ns_ = 0;
  uint64_t started_monotonic_ns_ = 0;
};

}  // namespace

int run_command(const std::vector<std::string>& words) {
  RunArguments arguments;
  if (!parse_run_arguments(words, arguments)) return static_cast<int>(ExitCode::kFine);
  return Run(arguments).go();
}

}  // namespace seep
