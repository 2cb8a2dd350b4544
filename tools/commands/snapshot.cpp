// SPDX-License-Identifier: Apache-2.0
// `seep snapshot`: takes a snapshot of running processes into their streams, from outside.
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "commands/arguments.h"
#include "commands/command.h"
#include "error.h"
#include "formats/human.h"
#include "recovery/outside_snapshot.h"
#include "recovery/process_region.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep snapshot 4242                   before and after something that may leak\n"
    "  seep snapshot $(pidof server)\n"
    "\n"
    "The process is not stopped, and may be idle or hang. Prints the stream of each and what is live.\n"
    "\n"
    "Exit status: 0 taken, 2 wrong usage, 3 at least one could not be taken.\n";

uint32_t parse_pid(const std::string& text) {
  uint32_t pid = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (failed != std::errc() || end != text.data() + text.size() || pid == 0) {
    throw Error(ExitCode::kUsage, "'" + text + "' is no process id (see seep snapshot --help)");
  }
  return pid;
}

std::string described(const TakenSnapshot& taken) {
  const std::string about = taken.exact ? "" : "about ";
  const auto count = [](double value) { return value < 0 ? uint64_t{0} : static_cast<uint64_t>(value + 0.5); };
  return printable(taken.stream_path) + ": " + about + human_bytes(std::max(taken.live_bytes, 0.0)) + " live in " +
         human_count(count(taken.live_blocks), "block") + ", " + human_duration(taken.time_ns) + " after its start\n";
}

}  // namespace

int snapshot_command(const std::vector<std::string>& words) {
  CLI::App app("Takes a snapshot of running processes into their recordings, now.", "seep snapshot");
  set_usage(app, "seep snapshot PID...");
  std::vector<std::string> arguments;
  app.add_option("PID", arguments, "processes that run under observation")->required();
  app.footer(kExamples);
  if (parse_arguments(app, words)) return static_cast<int>(ExitCode::kFine);
  std::vector<uint32_t> pids;
  for (const std::string& argument : arguments) pids.push_back(parse_pid(argument));
  ExitCode code = ExitCode::kFine;
  for (const uint32_t pid : pids) {
    try {
      const ProcessRegion region = region_of_process(pid);
      write_output(STDOUT_FILENO, described(take_snapshot({.region_path = region.path, .root = region.root})));
    } catch (const Error& error) {
      write_output(STDERR_FILENO, std::string("seep: ") + error.what() + "\n");
      code = error.code();
    }
  }
  return static_cast<int>(code);
}

}  // namespace seep
