// SPDX-License-Identifier: Apache-2.0
// `seep clean`: what dead processes left in shared memory goes into their streams, or is removed where it cannot.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "commands/arguments.h"
#include "commands/command.h"
#include "error.h"
#include "formats/human.h"
#include "recording/process_liveness.h"
#include "recording/region_search.h"
#include "recovery/fold.h"

namespace seep {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  seep clean -n                        what there is, and what would be done\n"
    "  seep clean                           /dev/shm\n"
    "  seep clean /var/tmp/regions          where the option region=DIR put them\n"
    "\n"
    "What a dead process recorded since its last snapshot is in its region. It is folded into its stream; where that\n"
    "cannot be written it is lost with the region: seep report --orphans shows it before. What may still be running\n"
    "is kept.\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, 3 one could not be removed.\n";

enum class Fate { kFolded, kRemoved, kKept };

struct Cleaning {
  bool pretend = false;
  LivenessJudge judge;
  std::array<uint64_t, 3> counts{};
  uint64_t freed_bytes = 0;
  bool failed = false;

  void say(Fate fate, const std::string& about, const std::string& what) {
    ++counts[static_cast<size_t>(fate)];
    write_output(STDOUT_FILENO, about + ": " + what + "\n");
  }
};

std::string described(const RegionFacts& region) {
  const std::string executable = region.identity.executable;
  const std::string name = region.ready ? executable.substr(executable.rfind('/') + 1) + ", process " +
                                              std::to_string(region.identity.pid) + ", "
                                        : "";
  return printable(region.path) + " (" + printable(name) + human_bytes(static_cast<double>(region.taken_bytes)) + ")";
}

void remove_region(Cleaning& cleaning, const RegionFacts& region, const std::string& why) {
  if (!cleaning.pretend && unlink(region.path.c_str()) != 0 && errno != ENOENT) {
    cleaning.failed = true;
    return cleaning.say(Fate::kKept, described(region),
                        std::string("kept: cannot be removed: ") + std::strerror(errno));
  }
  cleaning.freed_bytes += region.taken_bytes;
  const std::string done = cleaning.pretend ? "would be removed" : "removed";
  cleaning.say(Fate::kRemoved, described(region), done + " (" + why + ")");
}

void clean_dead(Cleaning& cleaning, const RegionFacts& region) {
  if (!region.ready) return remove_region(cleaning, region, "nothing had been recorded");
  try {
    const Folded folded = fold_region(region, {.damaged_too = true, .pretend = cleaning.pretend});
    if (folded.state == Folded::State::kGone) return;
    if (folded.state == Folded::State::kBusy) {
      return cleaning.say(Fate::kKept, described(region), "kept: another seep is reading it");
    }
    cleaning.freed_bytes += region.taken_bytes;
    const std::string done = cleaning.pretend ? "would be folded into " : "folded into ";
    cleaning.say(Fate::kFolded, described(region), done + printable(folded.stream_path));
  } catch (const Error& error) {
    remove_region(cleaning, region, printable(error.what()));
  }
}

void clean_directory(Cleaning& cleaning, const std::string& directory) {
  const RegionListing listing = regions_in(directory);
  for (const RegionFacts& region : listing.regions) {
    switch (cleaning.judge.judge(region)) {
      case Liveness::kDead: clean_dead(cleaning, region); break;
      case Liveness::kAlive: cleaning.say(Fate::kKept, described(region), "kept: still running"); break;
      case Liveness::kUndecided:
        cleaning.say(Fate::kKept, described(region),
                     "kept: it cannot be decided here whether its process still runs (another pid namespace)");
    }
  }
  for (const Error& problem : listing.problems) cleaning.say(Fate::kKept, "kept", printable(problem.what()));
}

std::string summary(const Cleaning& cleaning) {
  const auto& [folded, removed, kept] = cleaning.counts;
  const std::string would = cleaning.pretend ? "would be " : "";
  return human_count(folded + removed + kept, "region") + ": " + human_count(folded) + " " + would + "folded, " +
         human_count(removed) + " " + would + "removed, " + human_count(kept) + " kept; " +
         human_bytes(static_cast<double>(cleaning.freed_bytes)) + " " + would + "freed\n";
}

}  // namespace

int clean_command(const std::vector<std::string>& words) {
  CLI::App app("Folds what dead processes left in shared memory into their recordings, and removes it.", "seep clean");
  set_usage(app, "seep clean [-n] [DIR...]");
  Cleaning cleaning;
  std::vector<std::string> directories;
  app.add_flag("-n,--dry-run", cleaning.pretend, "change nothing, only say what would be done");
  app.add_option("DIR", directories, "where regions lie (default: /dev/shm)");
  app.footer(kExamples);
  if (parse_arguments(app, words)) return static_cast<int>(ExitCode::kFine);
  if (directories.empty()) directories.push_back(kRegionDirectory);
  for (const std::string& directory : directories) clean_directory(cleaning, directory);
  write_output(STDOUT_FILENO, summary(cleaning));
  return static_cast<int>(cleaning.failed ? ExitCode::kUnreadable : ExitCode::kFine);
}

}  // namespace seep
