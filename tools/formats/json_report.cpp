// SPDX-License-Identifier: Apache-2.0
// The JSON report: the contract with programs, schema "seep.report/1". Keys are only ever added.
//
// Growth before the end, of processes that ended in another way than by exit or exec, or still run:
//   processes[].growth_span_ns    the time that it was measured in: at least 10 s up to the last snapshot, as the
//                                 snapshots before allow, or since the process's start where there is none so old; null
//                                 where the process has no part in the growth
//   sites[] and totals: growth_bytes, growth_blocks
//                                 how much more, or less (negative), was live at the end of that time than before it,
//                                 summed over those processes; null where there are none. Sampled: an estimate, with
//                                 growth_bytes_interval and growth_blocks_interval at 95 %
// How it ended, and what is missing there:
//   processes[].oom_killed        signal 9 came from the kernel, for want of memory (as far as its own counter tells)
//   processes[].tail_lost         what the process did after its last snapshot is not in the recording;
//   coverage.lost_tails           of so many processes. It is not known how much that is: `fraction` is without it
//   processes[].sandboxed_ns      when it put itself into a sandbox that kept seep from writing inside it; null: not
// Frees of blocks that are not known (exact mode; freed twice, another allocator's, or older than the recording):
//   coverage.unknown_frees        how many
//   unknown_frees[]               frees, fingerprint, frames: from where, most first, all of them
// Verdicts of leak scans; where there was no scan they are null:
//   processes[].scan              the last leak scan that gave verdicts, and
//   processes[].failed_scan       a later one that gave none: see json_scan.h
//   processes[].judged_at_end     a scan at exit gave verdicts, or nothing was left to judge
//   coverage.unjudged_processes   observed processes that ended, otherwise than by exec, with blocks left (sampled:
//                                 samples) of which no scan at the end said what they are. A process that was replaced
//                                 by exec lost its memory then, and a running one has not ended: neither counts
//   sites[].verdict               the worst that any of its blocks has: definite, indirect, possible, reachable; live
//                                 where none was judged
//   sites[] and totals: definite_bytes, definite_blocks, and so for indirect, possible, reachable
//                                 as of the scan: what was freed since is still in them. Exact, of a scan at exit, the
//                                 four add up to live. Sampled there is definite alone, an estimate of what no pointer
//                                 points to; the others are null
//   sites[].held_bytes, held_blocks
//                                 what hangs from the definite blocks: indirect ones, of whatever site
//   sites[].freed_by              where a site has definite blocks, and others were freed: from where most often. Of
//                                 frees_looked_at at least frees_seen were from there; with fingerprint and frames
//   sites[].suppressed            the pattern of the program's own suppressions that matches the site; its verdict and
//                                 classes stay what they are
//   totals.leaked_bytes, leaked_blocks
//                                 what is definite or indirect, but for
//   totals.suppressed_bytes, suppressed_blocks
//                                 what is definite at such sites, and what that holds
//   processes[].thinned_snapshots so many snapshots were taken out of the stream again: no number at the end is lost
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/format.h"
#include "formats/human.h"
#include "formats/json_scan.h"
#include "leaks/fingerprint.h"

namespace seep {
namespace {

using nlohmann::ordered_json;

const char* word(Ended ended) {
  switch (ended) {
    case Ended::kExit: return "exit";
    case Ended::kExec: return "exec";
    case Ended::kSignal: return "signal";
    case Ended::kRunning: return "running";
    case Ended::kUnknown: break;
  }
  return "unknown";
}

const char* word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDefinite: return "definite";
    case Verdict::kIndirect: return "indirect";
    case Verdict::kPossible: return "possible";
    case Verdict::kReachable: return "reachable";
    case Verdict::kLive: break;
  }
  return "live";
}

// Estimates are fractions, blocks and bytes are not.
void put(ordered_json& object, const std::string& name, const Measure& measure) {
  object[name] = whole_count(measure.value());
  if (const auto interval = measure.interval()) {
    object[name + "_interval"] = {whole_count(std::floor(interval->low)), whole_count(std::ceil(interval->high))};
  }
}

void put(ordered_json& object, const std::string& name, const Change& change) {
  object[name] = whole_change(change.value);
  if (change.interval) {
    object[name + "_interval"] = {whole_change(std::floor(change.interval->low)),
                                  whole_change(std::ceil(change.interval->high))};
  }
}

void put(ordered_json& object, const Growth& growth, bool has_growth) {
  if (!has_growth) {
    object["growth_bytes"] = nullptr;
    object["growth_blocks"] = nullptr;
    return;
  }
  put(object, "growth_bytes", growth.bytes());
  put(object, "growth_blocks", growth.blocks());
}

void put(ordered_json& object, const Activity& activity) {
  put(object, "live_bytes", activity.live.bytes);
  put(object, "live_blocks", activity.live.blocks);
  put(object, "alloc_bytes", activity.alloc.bytes);
  put(object, "alloc_blocks", activity.alloc.blocks);
  put(object, "temporary_blocks", activity.temporary_blocks);
}

void put(ordered_json& object, const std::string& name, const BlocksAndBytes& sum, bool is_known) {
  if (is_known) {
    put(object, name + "_bytes", sum.bytes);
    put(object, name + "_blocks", sum.blocks);
  } else {
    object[name + "_bytes"] = nullptr;
    object[name + "_blocks"] = nullptr;
  }
}

void put(ordered_json& object, const Judgement& judgement) {
  put(object, "definite", judgement.definite, judgement.by_scan);
  put(object, "indirect", judgement.indirect, judgement.in_classes);
  put(object, "possible", judgement.possible, judgement.in_classes);
  put(object, "reachable", judgement.reachable, judgement.in_classes);
}

ordered_json process_json(const ProcessSummary& process) {
  ordered_json object;
  object["pid"] = process.pid;
  object["ppid"] = process.parent_pid;
  object["executable"] = process.executable;
  object["command"] = process.command;
  object["sample_bytes"] = process.sample_bytes;
  object["ended"] = word(process.ended);
  object["exit_status"] = process.exit_status ? ordered_json(*process.exit_status) : ordered_json();
  object["signal"] = process.ended == Ended::kSignal ? ordered_json(process.signal) : ordered_json();
  object["oom_killed"] = process.oom_killed;
  object["snapshots"] = process.snapshots;
  object["thinned_snapshots"] = process.thinned_snapshots;
  object["tail_lost"] = process.tail_lost;
  object["sandboxed_ns"] = process.sandboxed_ns == 0 ? ordered_json() : ordered_json(process.sandboxed_ns);
  object["scan"] = scan_json(process.scan);
  object["failed_scan"] = scan_json(process.failed_scan);
  object["judged_at_end"] = process.judged_at_end;
  object["growth_span_ns"] = process.growth_span ? ordered_json(process.growth_span->length_ns()) : ordered_json();
  object["inherited_bytes"] = process.inherited_bytes;
  object["inherited_blocks"] = process.inherited_blocks;
  object["started_unix_ns"] = process.started_unix_ns;
  object["duration_ns"] = process.duration_ns;
  object["observed"] = process.observed;
  if (!process.observed) object["not_observed_reason"] = process.not_observed_reason;
  return object;
}

ordered_json frame_json(const Frame& frame, bool runtime) {
  ordered_json object;
  object["function"] = frame.function;
  object["file"] = frame.file.empty() ? ordered_json() : ordered_json(frame.file);
  object["line"] = frame.line == 0 ? ordered_json() : ordered_json(frame.line);
  object["module"] = frame.module;
  object["inlined"] = frame.inlined;
  object["runtime"] = runtime;
  return object;
}

ordered_json frames_json(const Stack& stack, size_t runtime_frames) {
  ordered_json frames = ordered_json::array();
  for (size_t index = 0; index < stack.size(); ++index) {
    frames.push_back(frame_json(*stack[index], index < runtime_frames));
  }
  return frames;
}

ordered_json unknown_frees_json(const UnknownFrees& freed) {
  ordered_json object;
  object["frees"] = freed.frees;
  object["fingerprint"] = fingerprint_text(freed.fingerprint);
  object["frames"] = frames_json(freed.frames(), freed.runtime_frames);
  return object;
}

ordered_json freed_by_json(const std::optional<FreedFrom>& freed) {
  ordered_json object;
  if (!freed) return object;
  object["frees_seen"] = freed->frees_seen;
  object["frees_looked_at"] = freed->frees_looked_at;
  object["fingerprint"] = fingerprint_text(freed->fingerprint);
  object["frames"] = frames_json(freed->frames(), freed->runtime_frames);
  return object;
}

ordered_json site_json(const Site& site, bool has_growth) {
  ordered_json object;
  object["verdict"] = word(site.judgement.worst());
  object["fingerprint"] = fingerprint_text(site.fingerprint);
  put(object, site.activity);
  put(object, site.judgement);
  put(object, "held", site.judgement.held, site.judgement.in_classes);
  object["suppressed"] = site.suppressed_by.empty() ? ordered_json() : ordered_json(site.suppressed_by);
  put(object, site.growth(), has_growth);
  object["first_allocated_ns"] = site.first_allocated_ns;
  object["last_allocated_ns"] = site.last_allocated_ns;
  object["threads"] = site.thread_names;
  object["processes"] = site.processes;
  object["cut"] = site.cut;
  object["frames"] = frames_json(site.frames(), site.runtime_frames);
  object["freed_by"] = freed_by_json(site.freed_from);
  return object;
}

ordered_json coverage_json(const Coverage& coverage) {
  ordered_json object;
  object["fraction"] = coverage.fraction();
  object["dropped_records"] = coverage.dropped_records();
  object["cut_traces"] = coverage.cut_traces;
  object["unobserved_processes"] = coverage.unobserved_processes;
  object["unjudged_processes"] = coverage.unjudged_processes;
  object["unreadable_streams"] = coverage.unreadable_streams;
  object["missed_frees"] = coverage.missed_frees;
  object["unknown_frees"] = coverage.unknown_frees;
  object["failed_writes"] = coverage.failed_writes;
  object["skipped_snapshots"] = coverage.skipped_snapshots;
  object["lost_tails"] = coverage.lost_tails;
  return object;
}

// A path or a name may hold any bytes; JSON may not.
std::string dumped(const ordered_json& object, int indent) {
  return object.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

// What stands before the sites: they are written one by one, for there may be more than fit into memory as objects.
ordered_json without_sites(const Profile& profile) {
  ordered_json report;
  report["schema"] = "seep.report/1";
  report["processes"] = ordered_json::array();
  for (const ProcessSummary& process : profile.processes) report["processes"].push_back(process_json(process));
  put(report["totals"], profile.totals);
  put(report["totals"], profile.judgement);
  put(report["totals"], "leaked", profile.leaked, profile.judged());
  put(report["totals"], "suppressed", profile.suppressed, profile.judged());
  put(report["totals"], profile.growth, profile.has_growth());
  report["coverage"] = coverage_json(profile.coverage);
  report["unknown_frees"] = ordered_json::array();
  for (const UnknownFrees& freed : profile.unknown_frees) report["unknown_frees"].push_back(unknown_frees_json(freed));
  return report;
}

// More sites than this no one reads: then a site is a line, which takes a third of the space.
constexpr size_t kIndentedSites = 100;

}  // namespace

void write_json_report(const Profile& profile, const ReportOptions& options, std::string& output) {
  const size_t count = std::min(options.top.value_or(profile.sites.size()), profile.sites.size());
  const bool has_growth = profile.has_growth();
  const bool indented = count <= kIndentedSites;
  std::string head = dumped(without_sites(profile), 2);
  head.resize(head.rfind("\n}"));
  output += head + ",\n  \"sites\": [";
  for (size_t index = 0; index < count; ++index) {
    std::string site = dumped(site_json(profile.sites[index], has_growth), indented ? 2 : -1);
    for (size_t line = 0; indented && (line = site.find('\n', line)) != std::string::npos; line += 5) {
      site.insert(line + 1, "    ");
    }
    output += (index == 0 ? "\n    " : ",\n    ") + site;
  }
  output += count == 0 ? "]\n}\n" : "\n  ]\n}\n";
}

}  // namespace seep
