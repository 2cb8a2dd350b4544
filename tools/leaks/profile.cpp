// SPDX-License-Identifier: Apache-2.0
// From streams to sites: request every address, symbolize, then merge traces by fingerprint.
#include "leaks/profile.h"

#include <algorithm>
#include <functional>
#include <future>
#include <limits>
#include <numeric>
#include <utility>

#include "leaks/process_summary.h"
#include "leaks/site_merger.h"

namespace seep {
namespace {

// So many traces take longer to sum up than a thread takes to begin.
constexpr size_t kWorthAThread = 5000;

void want_all(const ProcessRecording& process, ProcessStacks& stacks) {
  for (const auto& [id, trace] : process.traces()) {
    if (trace.counters.alloc_blocks() == 0 && trace.counters.unknown_frees() == 0) continue;
    stacks.want(trace.innermost);
  }
}

// How much later than the first of them each process began. Within one boot the monotonic clock says so exactly.
std::vector<uint64_t> start_shifts(const Recording& recording) {
  bool one_boot = true;
  for (const auto& process : recording.processes) {
    const std::string& boot_id = process->header().boot_id();
    one_boot &= !boot_id.empty() && boot_id == recording.processes.front()->header().boot_id();
  }
  std::vector<uint64_t> starts;
  for (const auto& process : recording.processes) {
    const proto::Header& header = process->header();
    starts.push_back(one_boot ? header.started_monotonic_ns() : header.started_unix_ns());
  }
  if (starts.empty()) return starts;
  // A process whose header was lost began at an unknown time: it is taken for the first.
  uint64_t earliest = std::numeric_limits<uint64_t>::max();
  for (const uint64_t start : starts) earliest = start == 0 ? earliest : std::min(earliest, start);
  for (uint64_t& start : starts) start = start == 0 ? 0 : start - earliest;
  return starts;
}

// What needs no symbols: counters alone.
struct Summaries {
  std::vector<ProcessSummary> processes;
  Coverage coverage;
};

Summaries summarize_all(const Recording& recording) {
  Summaries all;
  const std::vector<bool> replaced = replaced_images(recording);
  for (size_t index = 0; index < recording.processes.size(); ++index) {
    const ProcessRecording& process = *recording.processes[index];
    all.processes.push_back(summarize(process, replaced[index]));
    add_coverage(process, all.processes.back(), all.coverage);
  }
  all.coverage.unreadable_streams = recording.problems.size();
  return all;
}

bool is_large(const Recording& recording) {
  size_t traces = 0;
  for (const auto& process : recording.processes) traces += process->traces().size();
  return traces >= kWorthAThread;
}

void add_up(Profile& profile) {
  for (const Site& site : profile.sites) {
    profile.totals += site.activity;
    if (site.grown) profile.growth += *site.grown;
    profile.judgement += site.judgement;
    profile.leaked += site.leaked;
    profile.suppressed += site.suppressed;
  }
  for (const ProcessSummary& process : profile.processes) profile.judgement.by_scan |= process.scan.has_value();
  // What no definite block of a site holds, hangs from one of the parent's.
  const auto excess = [](const Measure& all, const Measure& part) {
    return Measure{.exact = std::max(all.exact - part.exact, 0.0)};
  };
  profile.inherited_leaks = {excess(profile.judgement.indirect.blocks, profile.judgement.held.blocks),
                             excess(profile.judgement.indirect.bytes, profile.judgement.held.bytes)};
  profile.leaked += profile.inherited_leaks;
}

}  // namespace

uint64_t Coverage::dropped_records() const {
  return std::accumulate(dropped.begin(), dropped.end(), uint64_t{0}) + unread_records;
}

double Coverage::fraction() const {
  if (observed_processes == 0) return 0;
  const double missed = static_cast<double>(dropped_records());
  return missed == 0 ? 1 : recorded / (recorded + missed);
}

bool Profile::still_running() const {
  return std::any_of(processes.begin(), processes.end(),
                     [](const ProcessSummary& process) { return process.ended == Ended::kRunning; });
}

bool Profile::has_growth() const {
  return std::any_of(processes.begin(), processes.end(),
                     [](const ProcessSummary& process) { return process.growth_span.has_value(); });
}

Profile build_profile(const Recording& recording, Symbolizer& symbolizer,
                      const std::function<void(size_t, size_t)>& progress) {
  // Meanwhile, if there are many; else, and where there is no thread for it, when they are asked for.
  const auto when = is_large(recording) ? std::launch::async | std::launch::deferred : std::launch::deferred;
  auto summaries = std::async(when, summarize_all, std::cref(recording));
  std::vector<ProcessStacks> stacks;
  stacks.reserve(recording.processes.size());  // The merger keeps pointers to them.
  for (const auto& process : recording.processes) {
    stacks.emplace_back(*process, symbolizer);
    want_all(*process, stacks.back());
  }
  symbolizer.resolve(progress);
  for (ProcessStacks& each : stacks) each.look_up();

  Profile profile;
  profile.paths = recording.paths;
  Summaries summarized = summaries.get();
  profile.processes = std::move(summarized.processes);
  profile.coverage = summarized.coverage;
  const std::vector<uint64_t> shifts = start_shifts(recording);
  SiteMerger merger;
  for (size_t index = 0; index < recording.processes.size(); ++index) {
    const ProcessRecording& process = *recording.processes[index];
    merger.add(process, stacks[index], shifts[index], profile.processes[index].growth_span);
    profile.sampled |= profile.processes[index].observed && !process.exact();
    profile.duration_ns = std::max(profile.duration_ns, shifts[index] + process.last_time_ns());
  }
  merger.want_freeing_stacks();
  symbolizer.resolve(progress);
  for (ProcessStacks& each : stacks) each.look_up();
  profile.sites = merger.take_ranked();
  profile.unknown_frees = merger.take_unknown_frees();
  profile.coverage.cut_traces = merger.cut_traces();
  profile.unknown_suppressions = merger.unknown_suppressions();
  add_up(profile);
  profile.missing_symbols = symbolizer.missing();
  return profile;
}

}  // namespace seep
