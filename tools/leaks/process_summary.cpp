// SPDX-License-Identifier: Apache-2.0
// Summaries of processes and of losses.
#include "leaks/process_summary.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "recording/process_liveness.h"

namespace seep {
namespace {

Ended ended_of(const ProcessRecording& process, bool replaced) {
  if (!process.end() && replaced) return Ended::kExec;  // By a system call that no hook saw.
  if (!process.end()) return is_running(process) ? Ended::kRunning : Ended::kUnknown;
  switch (process.end()->how()) {
    case proto::End::EXIT: return Ended::kExit;
    case proto::End::EXEC: return Ended::kExec;
    case proto::End::SIGNAL: return Ended::kSignal;
    default: return Ended::kUnknown;
  }
}

// Without a snapshot or a counter nothing is known about the process but its name.
std::string why_not_observed(const ProcessRecording& process) {
  if (!process.observed()) return describe(process.header().not_observed());
  if (process.snapshots().empty() && process.traces().empty()) return "its recording holds no snapshot";
  return {};
}

const char* describe_reason(proto::NotObserved::Reason reason) {
  switch (reason) {
    case proto::NotObserved::NOT_INTERPOSED: return "it brings its own malloc";
    case proto::NotObserved::STATICALLY_LINKED: return "it is statically linked";
    case proto::NotObserved::SET_ID: return "the loader preloads nothing into a program that changes its privileges";
    case proto::NotObserved::OTHER_ARCHITECTURE: return "it is built for another architecture";
    case proto::NotObserved::SANITIZER: return "it is built with a sanitizer that replaces the allocator";
    case proto::NotObserved::NO_MEMORY: return "there was no memory for a recording";
    case proto::NotObserved::VALGRIND: return "it runs under valgrind";
    case proto::NotObserved::NOT_LOADED: return "libseep.so was not loaded into it";
    default: return "for an unknown reason";
  }
}

// What setproctitle(3) leaves of the arguments that it wrote over: words without a letter, where there are several. A
// single one may have been given.
void drop_overwritten_words(std::vector<std::string>& command) {
  const auto last =
      std::find_if(command.rbegin(), command.rend(), [](const std::string& word) { return !word.empty(); });
  if (last - command.rbegin() > 1) command.erase(last.base(), command.end());
}

// What the snapshots say about the end, and about themselves.
void add_last_words(const ProcessRecording& process, ProcessSummary& summary) {
  summary.snapshots = process.snapshots().size();
  summary.interval_ns = process.header().interval_ns();
  if (!process.snapshots().empty()) {
    const proto::Snapshot& last = process.snapshots().back().snapshot;
    summary.last_snapshot_ns = last.time_ns();
    summary.thinned_snapshots = last.thinned_snapshots();
    summary.sandboxed_ns = last.sandboxed_ns();
    summary.post_mortem = last.kind() == proto::Snapshot::POST_MORTEM;
  }
  const bool running = summary.ended == Ended::kRunning;
  summary.tail_lost = summary.observed && !running && !process.complete_to_the_end();
  // Who says goodbye frees, and what is left then is a matter of the whole life, not of its last seconds.
  const bool goodbye = summary.ended == Ended::kExit || summary.ended == Ended::kExec;
  if (summary.observed && !goodbye) summary.growth_span = process.growth_span();
}

// At exit a scan says of all that is left what it is, and where nothing is left there is nothing to say.
void add_verdicts(const ProcessRecording& process, ProcessSummary& summary) {
  if (const proto::Scan* failed = process.failed_scan()) summary.failed_scan = *failed;
  if (const proto::Scan* scan = process.scan()) {
    summary.scan = *scan;
    summary.judgement.by_scan = true;
    for (const auto& [id, trace] : process.traces()) {
      if (trace.counters.alloc_blocks() != 0) summary.judgement += judgement_of(trace.counters, process.exact());
    }
  }
  const bool nothing_left = summary.activity.live.blocks.value() == 0;
  const bool scanned = summary.scan && summary.scan->trigger() == proto::Scan::EXIT && !summary.failed_scan;
  summary.judged_at_end = summary.observed && process.complete_to_the_end() && (scanned || nothing_left);
}

bool is_unjudged(const ProcessSummary& summary) {
  const bool ended = summary.ended != Ended::kRunning && summary.ended != Ended::kExec;
  return summary.observed && ended && !summary.judged_at_end;
}

}  // namespace

std::string describe(const proto::NotObserved& not_observed) {
  std::string text = describe_reason(not_observed.reason());
  if (!not_observed.detail().empty()) text += " (" + not_observed.detail() + ")";
  return text;
}

std::vector<bool> replaced_images(const Recording& recording) {
  using Key = std::tuple<std::string, uint64_t, uint32_t, uint64_t>;
  const auto key_of = [](const proto::Header& header) {
    return Key(header.boot_id(), header.pid_namespace(), header.pid(), header.process_start_ticks());
  };
  std::map<Key, uint64_t> last_start_ns;
  for (const auto& process : recording.processes) {
    uint64_t& last_ns = last_start_ns[key_of(process->header())];
    last_ns = std::max(last_ns, process->header().started_monotonic_ns());
  }
  std::vector<bool> replaced;
  for (const auto& process : recording.processes) {
    const proto::Header& header = process->header();
    const bool known = !header.boot_id().empty() && header.pid_namespace() != 0 && header.pid() != 0 &&
                       header.process_start_ticks() != 0 && header.started_monotonic_ns() != 0;
    replaced.push_back(known && header.started_monotonic_ns() < last_start_ns[key_of(header)]);
  }
  return replaced;
}

ProcessSummary summarize(const ProcessRecording& process, bool replaced) {
  const proto::Header& header = process.header();
  ProcessSummary summary;
  summary.pid = header.pid();
  summary.parent_pid = header.parent_pid();
  summary.executable = header.executable();
  summary.command.assign(header.command().begin(), header.command().end());
  drop_overwritten_words(summary.command);
  summary.sample_bytes = process.sample_bytes();
  summary.ended = ended_of(process, replaced);
  if (process.end()) {
    if (process.end()->exit_status_known()) summary.exit_status = process.end()->exit_status();
    summary.signal = process.end()->signal();
    summary.oom_killed = process.end()->oom_killed();
  }
  summary.inherited_bytes = header.inherited_bytes();
  summary.inherited_blocks = header.inherited_blocks();
  summary.started_unix_ns = header.started_unix_ns();
  summary.duration_ns = process.last_time_ns();
  summary.not_observed_reason = why_not_observed(process);
  summary.observed = summary.not_observed_reason.empty();
  for (const auto& [id, trace] : process.traces()) summary.activity += activity_of(trace.counters, process.exact());
  add_last_words(process, summary);
  add_verdicts(process, summary);
  return summary;
}

void add_coverage(const ProcessRecording& process, const ProcessSummary& summary, Coverage& coverage) {
  ++(summary.observed ? coverage.observed_processes : coverage.unobserved_processes);
  const proto::Loss& loss = process.loss();
  coverage.dropped[0] += loss.dropped_live_table_full();
  coverage.dropped[1] += loss.dropped_region_full();
  coverage.dropped[2] += loss.dropped_nested();
  coverage.dropped[3] += loss.dropped_no_region();
  coverage.dropped[4] += loss.unshared_records();
  coverage.unread_records += process.unread_blocks();
  coverage.missed_frees += loss.missed_frees();
  coverage.unknown_frees += loss.unknown_frees();
  coverage.failed_writes += loss.failed_writes();
  coverage.skipped_snapshots += loss.skipped_snapshots();
  coverage.lost_tails += summary.tail_lost ? 1 : 0;
  coverage.unjudged_processes += is_unjudged(summary) ? 1 : 0;
  for (const auto& [id, trace] : process.traces()) {
    coverage.recorded += static_cast<double>(trace.counters.alloc_blocks());
  }
}

}  // namespace seep
