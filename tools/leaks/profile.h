// SPDX-License-Identifier: Apache-2.0
// The profile: a recording as every report shows it. Sites, ranked; totals; who was recorded; what was not seen.
// Plain data; made by build_profile, then read-only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "leaks/estimate.h"
#include "leaks/judgement.h"
#include "leaks/stack_tree.h"
#include "recording/recording.h"
#include "symbols/frame.h"
#include "symbols/symbolizer.h"

namespace seep {

// A stack to be shown, in the profile's tree.
struct ShownStack {
  uint64_t fingerprint = 0;
  std::shared_ptr<const StackTree> stacks;
  StackTree::Node innermost = StackTree::kNoNode;
  size_t runtime_frames = 0;   // So many of them, at the inner end, are runtime frames.
  size_t starting_frames = 0;  // And so many, at the outer end, started the program or the thread.
  bool cut = false;            // There were more frames, outside of the last.

  // Innermost first, never empty in a profile. Good as long as this, or another of the profile.
  Stack frames() const { return stacks ? stacks->stack(innermost) : Stack(); }
};

// Where blocks of a site are freed from, as far as frees were looked at: the missing free of those that leak.
struct FreedFrom : ShownStack {
  uint64_t frees_seen = 0;       // At least so many were from there,
  uint64_t frees_looked_at = 0;  // of so many.
};

// All traces with one fingerprint; shown is that with the most leaked, else with the most live bytes.
struct Site : ShownStack {
  Activity activity;
  Judgement judgement;                  // Of the blocks of processes in which a leak scan ran.
  BlocksAndBytes leaked;                // Definite blocks and what they hold,
  BlocksAndBytes leaked_roots;          // the definite ones alone,
  BlocksAndBytes suppressed;            // and those that the program itself wants to hear nothing about,
  std::string suppressed_by;            // as this pattern says; empty: there are none.
  std::optional<FreedFrom> freed_from;  // Where some blocks are definite and others were freed.
  std::shared_ptr<Growth> grown;        // In the growth spans of the processes that have one; null where none has.
  uint64_t first_allocated_ns = 0;
  uint64_t last_allocated_ns = 0;
  std::vector<std::string> thread_names;  // Sorted.
  bool more_thread_names = false;
  size_t traces = 0;  // Stacks that can be told apart; one that is in several processes counts once.
  size_t processes = 0;

  bool is_leak() const { return leaked.blocks.value() > 0; }
  Growth growth() const { return grown ? *grown : Growth(); }
};

// Where blocks were freed that are not known: freed twice, from another allocator, or from before the recording.
struct UnknownFrees : ShownStack {
  uint64_t frees = 0;
};

enum class Ended { kExit, kExec, kSignal, kRunning, kUnknown };

struct ProcessSummary {
  uint32_t pid = 0;
  uint32_t parent_pid = 0;
  std::string executable;
  std::vector<std::string> command;
  uint64_t sample_bytes = 0;
  Ended ended = Ended::kUnknown;
  std::optional<int> exit_status;
  uint32_t signal = 0;
  bool oom_killed = false;   // By the kernel, for want of memory.
  bool post_mortem = false;  // The last snapshot was taken of what it left when it died.
  bool tail_lost = false;    // What it did after its last snapshot is lost.
  size_t snapshots = 0;
  uint64_t thinned_snapshots = 0;  // So many more had been written and were taken out again.
  uint64_t sandboxed_ns = 0;       // When it put itself into a sandbox that is in seep's way; 0: it did not.
  uint64_t interval_ns = 0;        // Wanted between two.
  uint64_t last_snapshot_ns = 0;
  // The time before the end that growth is told of: where it ended in another way than by exit or exec, or runs.
  std::optional<GrowthSpan> growth_span;
  uint64_t inherited_bytes = 0;
  uint64_t inherited_blocks = 0;
  uint64_t started_unix_ns = 0;
  uint64_t duration_ns = 0;
  bool observed = true;
  std::string not_observed_reason;  // In words, where it was not.
  Activity activity;
  Judgement judgement;
  std::optional<proto::Scan> scan;         // The last leak scan that gave verdicts,
  std::optional<proto::Scan> failed_scan;  // and a later one that did not.
  // What it still held when it ended is known to be leaked or not.
  bool judged_at_end = false;
};

// What the recording did not see.
struct Coverage {
  double recorded = 0;                // Allocations (sampled: samples) that were recorded and read,
  std::array<uint64_t, 5> dropped{};  // that were not, or are lost, by the reasons of proto::Loss in their order,
  uint64_t unread_records = 0;        // and that were recorded and lost with damaged messages.
  uint64_t cut_traces = 0;            // Stacks that are cut, for another reason than depth.
  uint64_t missed_frees = 0;
  uint64_t unknown_frees = 0;
  uint64_t failed_writes = 0;
  uint64_t skipped_snapshots = 0;
  size_t observed_processes = 0;
  size_t unobserved_processes = 0;
  // Observed ones that ended, other than by exec, holding blocks of which no leak scan said at their end whether they
  // are leaked.
  size_t unjudged_processes = 0;
  size_t unreadable_streams = 0;  // Not read, or not whole.
  size_t lost_tails = 0;          // Processes whose last snapshot was not the end.

  uint64_t dropped_records() const;
  // Of recorded and dropped allocations; 0 where nothing was observed.
  double fraction() const;
};

struct Profile {
  std::vector<std::string> paths;
  std::vector<ProcessSummary> processes;
  std::vector<Site> sites;                  // Leaks first, then what may be one, then most live bytes first.
  std::vector<UnknownFrees> unknown_frees;  // Most frees first. By stack, as far as there was room for one.
  Activity totals;                          // Of all sites.
  Growth growth;                            // The same,
  Judgement judgement;                      // and this.
  // Lost, and not suppressed: what sites leaked, and what hangs from lost blocks of the parent that were inherited.
  BlocksAndBytes leaked;
  BlocksAndBytes inherited_leaks;  // Of it, the latter.
  BlocksAndBytes suppressed;
  size_t unknown_suppressions = 0;  // Lines of suppressions that were not understood.
  Coverage coverage;
  bool sampled = false;      // At least one process was.
  uint64_t duration_ns = 0;  // From the first process's start to the last word of any.
  std::vector<Symbolizer::MissingFile> missing_symbols;

  bool observed() const { return coverage.observed_processes > 0; }
  bool still_running() const;
  // Some process has a growth span.
  bool has_growth() const;
  // In some process a leak scan gave verdicts.
  bool judged() const { return judgement.by_scan; }
};

Profile build_profile(const Recording& recording, Symbolizer& symbolizer,
                      const std::function<void(size_t, size_t)>& progress);

}  // namespace seep
