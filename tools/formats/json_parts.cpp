// SPDX-License-Identifier: Apache-2.0
// Numbers, frames, sites and processes in JSON.
#include "formats/json_parts.h"

#include <cmath>

#include "formats/human.h"
#include "formats/json_scan.h"
#include "leaks/fingerprint.h"

namespace seep {

using nlohmann::ordered_json;

namespace {

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

}  // namespace

// Estimates are fractions, blocks and bytes are not.
void put(ordered_json& object, const std::string& name, const Measure& measure, bool is_known) {
  if (!is_known) {
    object[name] = nullptr;
    return;
  }
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

void put(ordered_json& object, const Activity& activity) {
  put(object, "live_bytes", activity.live.bytes);
  put(object, "live_blocks", activity.live.blocks);
  put(object, "alloc_bytes", activity.alloc.bytes);
  put(object, "alloc_blocks", activity.alloc.blocks);
  put(object, "temporary_blocks", activity.temporary_blocks, activity.temporary_is_known);
}

void put(ordered_json& object, const std::string& name, const BlocksAndBytes& sum, bool is_known) {
  put(object, name + "_bytes", sum.bytes, is_known);
  put(object, name + "_blocks", sum.blocks, is_known);
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

ordered_json frames_json(const Stack& stack, size_t runtime_frames) {
  ordered_json frames = ordered_json::array();
  for (size_t index = 0; index < stack.size(); ++index) {
    frames.push_back(frame_json(*stack[index], index < runtime_frames));
  }
  return frames;
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
}  // namespace seep
