// SPDX-License-Identifier: Apache-2.0
// What stands below the sites in the text report: totals, processes, coverage.
#include <absl/strings/str_format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "formats/human.h"
#include "formats/text_parts.h"

namespace seep {
namespace {

constexpr size_t kShownProcesses = 20;
constexpr size_t kNameColumns = 24;

using Row = TextRow;

double rounded(const Measure& measure) { return std::round(measure.value()); }

// Whole numbers, so that a column adds up to its last digit; estimates are marked as such.
std::string cell(double value, bool sampled) {
  return (sampled && value > 0 ? "~" : "") + human_count(whole_count(value));
}

// What a row of the totals table adds up.
struct Sum {
  double live_bytes = 0, live_blocks = 0, alloc_bytes = 0, alloc_blocks = 0;

  static Sum of(const Activity& activity) {
    return {rounded(activity.live.bytes), rounded(activity.live.blocks), rounded(activity.alloc.bytes),
            rounded(activity.alloc.blocks)};
  }
  Sum& operator+=(const Sum& other) {
    live_bytes += other.live_bytes;
    live_blocks += other.live_blocks;
    alloc_bytes += other.alloc_bytes;
    alloc_blocks += other.alloc_blocks;
    return *this;
  }
  Row row(std::string name, bool sampled) const {
    return {std::move(name), cell(live_bytes, sampled), cell(live_blocks, sampled), cell(alloc_bytes, sampled),
            cell(alloc_blocks, sampled)};
  }
};

std::string observed_text(const ProcessSummary& process) {
  if (!process.observed) return "not observed";
  return process.sample_bytes == 1 ? "exact" : "sampled";
}

Row process_row(const ProcessSummary& process, bool judged) {
  const bool sampled = process.sample_bytes != 1;
  Row row = {shortened_function(program_name(process), kNameColumns), std::to_string(process.pid),
             described_end(process), observed_text(process)};
  if (judged) row.push_back(process.scan ? cell(rounded(process.judgement.lost().bytes), sampled) : "");
  if (process.observed) {
    row.push_back(cell(rounded(process.activity.live.bytes), sampled));
    row.push_back(cell(rounded(process.activity.live.blocks), sampled));
    row.push_back(cell(rounded(process.activity.alloc.bytes), sampled));
  }
  row.resize(judged ? 8 : 7);
  return row;
}

void add(std::vector<std::string>& lines, uint64_t count, const std::string& noun, const std::string& what) {
  if (count > 0) lines.push_back(human_count(count, noun.c_str()) + what);
}

// A line for each process that has something to say, as far as a reader will read on.
template <typename Describe>
void add_processes(std::vector<std::string>& lines, const Profile& profile, const char* of_more, Describe describe) {
  size_t named = 0;
  for (const ProcessSummary& process : profile.processes) {
    const std::string what = describe(process);
    if (what.empty() || ++named > kShownProcesses) continue;
    lines.push_back(absl::StrFormat("process %d, %s: %s", process.pid, program_name(process), what));
  }
  if (named > kShownProcesses) add(lines, named - kShownProcesses, "more process", of_more);
}

std::string lost_tail(const ProcessSummary& process) {
  if (!process.tail_lost) return {};
  if (process.snapshots == 0) return "it ended before its first snapshot was whole: what is missing of it is lost";
  std::string text =
      "what it did after its last snapshot, " + human_duration(process.last_snapshot_ns) + " after its start, is lost";
  if (process.interval_ns > 0) text += " (one was due every " + human_duration(process.interval_ns) + ")";
  return text;
}

// There nothing is lost either, as long as nothing was dropped.
std::string sandboxed(const ProcessSummary& process) {
  if (process.sandboxed_ns == 0) return {};
  return "in a sandbox (seccomp) since " + human_duration(process.sandboxed_ns) +
         " after its start, where seep can write no snapshot from inside";
}

// Where there are verdicts: of which processes there are none, and no scan tried to find any.
void add_unjudged(std::vector<std::string>& lines, const Profile& profile) {
  if (!profile.judged()) return;
  uint64_t unjudged = 0;
  for (const ProcessSummary& process : profile.processes) {
    const bool ran_none = process.observed && !process.scan && !process.failed_scan && process.ended != Ended::kExec;
    unjudged += ran_none && process.activity.live.blocks.value() > 0 ? 1 : 0;
  }
  add(lines, unjudged, "process", " without a leak scan: what was live there is not yet leaked");
}

// Only what was lost, each in words.
std::vector<std::string> unseen_in(const Profile& profile) {
  const Coverage& coverage = profile.coverage;
  std::vector<std::string> unseen;
  add(unseen, coverage.dropped[0], "allocation", ": no memory for the table of live blocks");
  add(unseen, coverage.dropped[1], "allocation", ": no memory for another stack");
  add(unseen, coverage.dropped[2], "allocation", ": too many threads or signal handlers inside seep at once");
  add(unseen, coverage.dropped[3], "allocation", ": before the recording was set up");
  add(unseen, coverage.dropped[4], "allocation",
      profile.still_running()
          ? ": in private memory, for want of room in the region's file system, where only the process sees them"
          : ": lost in private memory, for want of room in the region's file system");
  add(unseen, coverage.unread_records, "allocation", ": that part of the recording is damaged");
  add(unseen, coverage.missed_frees, "free", ": the address was handed out again while its block was still live here");
  add(unseen, coverage.unknown_frees, "free", " of blocks whose allocation was not seen (or that were freed twice)");
  add(unseen, coverage.cut_traces, "stack", " cut short: the outer frames could not be found");
  add(unseen, coverage.unreadable_streams, "problem", " in reading the streams");
  add_processes(unseen, profile, ": the same", lost_tail);
  add_unjudged(unseen, profile);
  for (const auto overlooked : unseen_by_scans(profile)) add_processes(unseen, profile, ": the same", overlooked);
  add(unseen, profile.unknown_suppressions, "line",
      " of the program's own suppressions: not of LeakSanitizer's format");
  add_processes(unseen, profile, ": not observed", [](const ProcessSummary& process) {
    return process.observed ? std::string() : printable(process.not_observed_reason);
  });
  return unseen;
}

// What happened to snapshots in between. Each that could be read says everything anew, so no number is lost by that.
std::vector<std::string> notes_on(const Profile& profile) {
  const Coverage& coverage = profile.coverage;
  uint64_t thinned = 0;
  for (const ProcessSummary& process : profile.processes) thinned += process.thinned_snapshots;
  std::vector<std::string> notes;
  add(notes, coverage.failed_writes, "snapshot", " could not be written whole; a later one holds what they held");
  add(notes, coverage.skipped_snapshots, "interval",
      " passed without a snapshot: no thread had the stack to take it on");
  add(notes, thinned, "older snapshot", " thinned out to keep the stream small (max_stream)");
  add_processes(notes, profile, " in a sandbox", sandboxed);
  return notes;
}

std::string fraction_seen(const Profile& profile) {
  if (!profile.observed()) return {};
  const char* until = profile.coverage.lost_tails > 0 ? "up to the last snapshots " : "";
  const double fraction = profile.coverage.fraction();
  if (fraction == 1) return absl::StrFormat(" (%severy allocation of what was observed is counted)", until);
  // Nearly all is not all.
  return absl::StrFormat(" (%s%.4g %% of the allocations were)", until, std::min(100 * fraction, 99.99));
}

// "killed by SIGSEGV (segmentation fault)"; what the number means where that says more than the name.
std::string described_signal(const ProcessSummary& process) {
  const int signal = static_cast<int>(process.signal);
  const char* name = sigabbrev_np(signal);
  if (name == nullptr) return absl::StrFormat("killed by signal %d", process.signal);
  std::string text = std::string("killed by SIG") + name;
  if (process.oom_killed) return text + ", by the kernel for want of memory (OOM)";
  if (signal == SIGKILL || signal == SIGTERM) return text;
  std::string meaning = sigdescr_np(signal);
  const bool is_word = meaning.size() > 1 && std::islower(static_cast<unsigned char>(meaning[1]));
  if (is_word) meaning[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(meaning[0])));
  return text + " (" + meaning + ")";
}

}  // namespace

void write_table(const TextReport& report, const std::vector<TextRow>& rows, const std::vector<std::string>& remarks) {
  std::vector<size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], columns(row[column]));
    }
  }
  for (size_t index = 0; index < rows.size(); ++index) {
    std::string line = "  " + padded(rows[index][0], widths[0]);
    for (size_t column = 1; column < rows[index].size(); ++column) {
      line += "  " + right_aligned(rows[index][column], widths[column]);
    }
    if (index < remarks.size()) line += "  " + remarks[index];
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppendFormat(&report.output, "%s%s%s\n", index == 0 ? report.style.dim : "", line,
                          index == 0 ? report.style.plain : "");
  }
}

std::string table_cell(const Measure& measure, bool sampled) { return cell(rounded(measure), sampled); }

std::string program_name(const ProcessSummary& process) {
  if (!process.executable.empty()) return printable(module_base_name(process.executable));
  return process.command.empty() ? "unknown" : printable(module_base_name(process.command.front()));
}

std::string described_end(const ProcessSummary& process) {
  switch (process.ended) {
    case Ended::kExit: return process.exit_status ? absl::StrFormat("exited with %d", *process.exit_status) : "exited";
    case Ended::kExec: return "replaced by exec";
    case Ended::kSignal: return described_signal(process);
    case Ended::kRunning: return "still running";
    case Ended::kUnknown: break;
  }
  return process.post_mortem ? "died, unknown how" : "ended, unknown how";
}

void write_totals(const TextReport& report) {
  const Profile& profile = report.profile;
  Sum shown, total;
  for (size_t index = 0; index < profile.sites.size(); ++index) {
    const Sum sum = Sum::of(profile.sites[index].activity);
    total += sum;
    if (index < report.shown_sites) shown += sum;
  }
  Sum other = total;
  other += {-shown.live_bytes, -shown.live_blocks, -shown.alloc_bytes, -shown.alloc_blocks};
  std::vector<Row> rows = {{"Totals", "live bytes", "blocks", "allocated bytes", "blocks"}};
  const size_t others = profile.sites.size() - report.shown_sites;
  if (report.shown_sites > 0) rows.push_back(shown.row(human_count(report.shown_sites, "shown site"), profile.sampled));
  if (others > 0) {
    const char* which = report.shown_sites > 0 ? "other site" : "site";
    rows.push_back(other.row(human_count(others, which), profile.sampled));
  }
  rows.push_back(total.row("all", profile.sampled));
  write_table(report, rows);
  const double temporary = profile.totals.temporary_blocks.value();
  if (!profile.totals.temporary_is_known) {
    report.output += "  How many of the allocations were temporary is not known: there is no last snapshot.\n";
  } else if (temporary >= 1) {
    absl::StrAppendFormat(&report.output,
                          "  %s of the allocations were temporary: freed before the thread's next one.\n",
                          human_share(temporary, profile.totals.alloc.blocks.value()));
  }
  report.output += '\n';
}

void write_processes(const TextReport& report) {
  const auto& processes = report.profile.processes;
  if (processes.size() < 2) return;
  std::vector<const ProcessSummary*> ranked;
  for (const ProcessSummary& process : processes) ranked.push_back(&process);
  std::stable_sort(ranked.begin(), ranked.end(), [](const ProcessSummary* left, const ProcessSummary* right) {
    const auto key = [](const ProcessSummary& process) {
      return std::pair(process.judgement.lost().bytes.value(), process.activity.live.bytes.value());
    };
    return key(*left) > key(*right);
  });
  const bool judged = report.profile.judged();
  std::vector<Row> rows = {{"Process", "pid", "end", "recording", "live bytes", "blocks", "allocated bytes"}};
  if (judged) rows[0].insert(rows[0].begin() + 4, "lost bytes");
  const size_t count = report.options.full ? ranked.size() : std::min(ranked.size(), kShownProcesses);
  for (size_t index = 0; index < count; ++index) rows.push_back(process_row(*ranked[index], judged));
  write_table(report, rows);
  if (count < ranked.size()) absl::StrAppendFormat(&report.output, "  and %d more\n", ranked.size() - count);
  report.output += '\n';
}

void write_coverage(const TextReport& report) {
  const Profile& profile = report.profile;
  const std::vector<std::string> unseen = unseen_in(profile);
  if (unseen.empty()) {
    const size_t count = profile.coverage.observed_processes;
    absl::StrAppendFormat(&report.output, "Nothing was missed: every %s of %s was recorded, with its whole stack.\n",
                          profile.sampled ? "sample" : "allocation",
                          count == 1 ? "the process" : "all " + human_count(count, "process"));
  } else {
    absl::StrAppendFormat(&report.output, "%sNot seen%s%s:\n", report.style.accent, report.style.plain,
                          fraction_seen(profile));
    for (const std::string& what : unseen) absl::StrAppendFormat(&report.output, "  %s\n", what);
  }
  const std::vector<std::string> notes = notes_on(profile);
  for (const std::string& note : notes) {
    absl::StrAppendFormat(&report.output, "Note: %s. No number is lost by that.\n", note);
  }
}

}  // namespace seep
