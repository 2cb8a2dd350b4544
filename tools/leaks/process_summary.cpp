// SPDX-License-Identifier: Apache-2.0
// Summaries of processes and of losses.
#include "leaks/process_summary.h"

#include "recording/process_liveness.h"

namespace seep {
namespace {

Ended ended_of(const ProcessRecording& process) {
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

}  // namespace

std::string describe(const proto::NotObserved& not_observed) {
  std::string text = describe_reason(not_observed.reason());
  if (!not_observed.detail().empty()) text += " (" + not_observed.detail() + ")";
  return text;
}

ProcessSummary summarize(const ProcessRecording& process) {
  const proto::Header& header = process.header();
  ProcessSummary summary;
  summary.pid = header.pid();
  summary.parent_pid = header.parent_pid();
  summary.executable = header.executable();
  summary.command.assign(header.command().begin(), header.command().end());
  summary.sample_bytes = process.sample_bytes();
  summary.ended = ended_of(process);
  if (process.end()) {
    if (process.end()->exit_status_known()) summary.exit_status = process.end()->exit_status();
    summary.signal = process.end()->signal();
  }
  summary.snapshots = process.snapshots().size();
  summary.inherited_bytes = header.inherited_bytes();
  summary.inherited_blocks = header.inherited_blocks();
  summary.started_unix_ns = header.started_unix_ns();
  summary.duration_ns = process.last_time_ns();
  summary.not_observed_reason = why_not_observed(process);
  summary.observed = summary.not_observed_reason.empty();
  for (const auto& [id, trace] : process.traces()) summary.activity += activity_of(trace.counters, process.exact());
  return summary;
}

void add_coverage(const ProcessRecording& process, const ProcessSummary& summary, Coverage& coverage) {
  ++(summary.observed ? coverage.observed_processes : coverage.unobserved_processes);
  const proto::Loss& loss = process.loss();
  coverage.dropped[0] += loss.dropped_live_table_full();
  coverage.dropped[1] += loss.dropped_region_full();
  coverage.dropped[2] += loss.dropped_nested();
  coverage.dropped[3] += loss.dropped_no_region();
  coverage.unread_records += process.unread_blocks();
  coverage.missed_frees += loss.missed_frees();
  coverage.unknown_frees += loss.unknown_frees();
  coverage.failed_writes += loss.failed_writes();
  coverage.skipped_snapshots += loss.skipped_snapshots();
  for (const auto& [id, trace] : process.traces()) {
    coverage.recorded += static_cast<double>(trace.counters.alloc_blocks());
  }
}

}  // namespace seep
