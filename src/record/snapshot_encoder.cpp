// SPDX-License-Identifier: Apache-2.0
//
// The snapshot encoder; see snapshot_encoder.h. One function a kind of message, then the snapshot that calls them.
// Traces and their counters have files of their own.
#include "record/snapshot_encoder.h"

#include <cstring>

#include "processor/processor.h"
#include "record/counters_encoder.h"
#include "record/message_writer.h"
#include "record/module_table.h"
#include "record/trace_encoder.h"
#include "seep.nanopb.h"
#include "seep_version.h"

namespace seep {
namespace {

void fill_bytes16(pb_size_t& size, uint8_t (&to)[16], const uint8_t (&from)[16], bool present = true) {
  static constexpr uint8_t kNone[16] = {};
  size = present && memcmp(from, kNone, 16) != 0 ? 16 : 0;
  memcpy(to, from, 16);
}

// Text as nanopb wants bytes; null, which leaves the field out, where the scratch has no more room.
pb_bytes_array_t* as_bytes(EncoderScratch& scratch, const char* text) {
  const size_t bytes = strlen(text);
  const size_t size = (sizeof(pb_size_t) + bytes + 1) & ~size_t{1};
  if (size > EncoderScratch::kTextBytes - scratch.text_used || bytes > UINT16_MAX) return nullptr;
  auto* array = reinterpret_cast<pb_bytes_array_t*>(scratch.text + scratch.text_used);
  scratch.text_used += size;
  array->size = static_cast<pb_size_t>(bytes);
  memcpy(array->bytes, text, bytes);
  return array;
}

constexpr unsigned kMaxArguments = 256;

pb_size_t split_command(EncoderScratch& scratch, const Identity& identity,
                        pb_bytes_array_t* (&arguments)[kMaxArguments]) {
  pb_size_t count = 0;
  for (uint32_t at = 0; at < identity.command_bytes && count < kMaxArguments;) {
    arguments[count] = as_bytes(scratch, identity.command + at);
    if (arguments[count++] == nullptr) return static_cast<pb_size_t>(count - 1);
    at += static_cast<uint32_t>(strnlen(identity.command + at, sizeof identity.command - 1 - at)) + 1;
  }
  return count;
}

bool write_header(MessageWriter& writer, EncoderScratch& scratch, const RegionHeader& region_header) {
  const Identity& identity = region_header.identity;
  seep_proto_Header header = seep_proto_Header_init_zero;
  pb_bytes_array_t* arguments[kMaxArguments];
  scratch.text_used = 0;
  header.version = kStreamVersion;
  fill_bytes16(header.recording_id.size, header.recording_id.bytes, identity.recording_id);
  fill_bytes16(header.parent_recording_id.size, header.parent_recording_id.bytes, identity.parent_recording_id,
               identity.has_parent_recording != 0);
  fill_bytes16(header.boot_id.size, header.boot_id.bytes, identity.boot_id);
  header.pid = identity.pid;
  header.parent_pid = identity.parent_pid;
  header.pid_namespace = identity.pid_namespace;
  header.process_start_ticks = identity.process_start_ticks;
  header.executable = as_bytes(scratch, identity.executable);
  header.command = arguments;
  header.command_count = split_command(scratch, identity, arguments);
  header.host = as_bytes(scratch, identity.host);
  header.region_path = as_bytes(scratch, identity.region_path);
  header.seep_version = const_cast<char*>(SEEP_VERSION);
  header.architecture = const_cast<char*>(kArchitecture);
  header.options = as_bytes(scratch, identity.options);
  header.sample_bytes = identity.sample_bytes;
  header.depth_limit = identity.depth_limit;
  header.interval_ns = identity.interval_ns;
  header.clock_resolution_ns = identity.clock_resolution_ns;
  header.started_unix_ns = identity.started_unix_ns;
  header.started_monotonic_ns = identity.started_monotonic_ns;
  header.inherited_blocks = identity.inherited_blocks;
  header.inherited_bytes = identity.inherited_bytes;
  header.seed = identity.seed;
  header.has_not_observed = identity.not_observed_reason != 0;
  header.not_observed.reason = static_cast<seep_proto_NotObserved_Reason>(identity.not_observed_reason);
  header.not_observed.detail = as_bytes(scratch, identity.not_observed_detail);
  return writer.write_single(seep_proto_Message_header_tag, seep_proto_Header_fields, &header);
}

bool write_modules(MessageWriter& writer, EncoderScratch& scratch, Region region, Ref newest, Ref written) {
  writer.begin(seep_proto_Message_modules_tag);
  for (Ref ref = newest; ref != 0 && ref != written; ref = region.at<Module>(ref)->next_older) {
    Module& module = *region.at<Module>(ref);
    PB_BYTES_ARRAY_T(kMaxBuildIdBytes) build_id;
    build_id.size = module.build_id_bytes;
    memcpy(build_id.bytes, module.build_id, kMaxBuildIdBytes);
    seep_proto_Module item = seep_proto_Module_init_zero;
    item.id = module.id;
    scratch.text_used = 0;
    item.path = as_bytes(scratch, module.path());
    item.build_id = reinterpret_cast<pb_bytes_array_t*>(&build_id);
    item.load_bias = module.load_bias;
    item.start = module.start;
    item.size_bytes = module.size_bytes;
    item.file_size_bytes = module.file_size_bytes;
    item.file_modified_unix_ns = module.file_modified_unix_ns;
    if (!writer.add(seep_proto_Modules_modules_tag, seep_proto_Module_fields, &item)) return false;
  }
  return writer.finish();
}

bool write_thread_names(MessageWriter& writer, EncoderScratch& scratch, Region region, Ref newest, Ref written) {
  for (Ref ref = newest; ref != 0 && ref != written; ref = region.at<ThreadName>(ref)->next_older) {
    ThreadName& name = *region.at<ThreadName>(ref);
    scratch.text_used = 0;
    seep_proto_ThreadName item{name.id, as_bytes(scratch, name.name)};
    if (!writer.add(seep_proto_Counters_thread_names_tag, seep_proto_ThreadName_fields, &item)) return false;
  }
  return true;
}

void fill_loss(const RegionHeader& header, seep_proto_Loss& loss) {
  const auto count = [&](LossKind kind) {
    return header.loss[static_cast<unsigned>(kind)].load(std::memory_order_relaxed);
  };
  loss.dropped_live_table_full = count(LossKind::kLiveTableFull);
  loss.dropped_region_full = count(LossKind::kRegionFull);
  loss.dropped_nested = count(LossKind::kNested);
  loss.dropped_no_region = count(LossKind::kNoRegion);
  loss.cut_records = count(LossKind::kCutRecord);
  loss.missed_frees = count(LossKind::kMissedFree);
  loss.unknown_frees = count(LossKind::kUnknownFree);
  loss.failed_writes = count(LossKind::kFailedWrite);
  loss.skipped_snapshots = count(LossKind::kSkippedSnapshot);
  loss.unshared_records = count(LossKind::kUnsharedRecord);
  loss.checked_traces = count(LossKind::kCheckedTrace);
  loss.wrong_traces = count(LossKind::kWrongTrace);
}

void fill_scan(const ScanFacts& facts, seep_proto_Scan& scan) {
  scan.number = facts.number;
  scan.trigger = static_cast<seep_proto_Scan_Trigger>(facts.trigger);
  scan.time_ns = facts.time_ns;
  scan.failure = static_cast<seep_proto_Scan_Failure>(facts.failure);
  scan.stop = static_cast<seep_proto_Scan_Stop>(facts.stop);
  scan.in_copy = facts.in_copy != 0;
  scan.stopped_threads = facts.stopped_threads;
  scan.missed_threads = facts.missed_threads;
  scan.pause_ns = facts.pause_ns;
  scan.duration_ns = facts.duration_ns;
  scan.searched_bytes = facts.searched_bytes;
  scan.unread_bytes = facts.unread_bytes;
  scan.overlapping_blocks = facts.overlapping_blocks;
  scan.epoll_unread = facts.epoll_unread != 0;
  scan.timers_unread = facts.timers_unread != 0;
  scan.heap_as_roots = facts.heap_as_roots != 0;
  scan.unknown_stacks = facts.unknown_stacks;
}

void fill_scans(EncoderScratch& scratch, const ScanState& state, seep_proto_Snapshot& snapshot) {
  scratch.text_used = 0;
  const uint32_t standing = state.standing.load(std::memory_order_acquire);
  if (standing != 0) {
    snapshot.has_scan = true;
    fill_scan(state.results[standing - 1].facts, snapshot.scan);
    if (state.default_suppressions[0] != '\0') {
      snapshot.scan.default_suppressions = as_bytes(scratch, state.default_suppressions);
    }
  }
  snapshot.has_failed_scan = state.has_failed.load(std::memory_order_acquire) != 0;
  if (snapshot.has_failed_scan) fill_scan(state.failed, snapshot.failed_scan);
}

bool write_snapshot(MessageWriter& writer, EncoderScratch& scratch, RegionHeader& header, const CounterTotals& totals,
                    seep_proto_Snapshot& snapshot) {
  snapshot.number = header.progress.snapshots + 1;
  snapshot.traces = totals.traces;
  snapshot.changed_counters = totals.changed_counters;
  snapshot.alloc_blocks = totals.alloc_blocks;
  snapshot.alloc_bytes = totals.alloc_bytes;
  snapshot.free_blocks = totals.free_blocks;
  snapshot.free_bytes = totals.free_bytes;
  snapshot.has_loss = true;
  fill_loss(header, snapshot.loss);
  snapshot.sample_bytes = header.sample_bytes.load(std::memory_order_relaxed);
  snapshot.seep_memory_bytes =
      header.committed_bytes.load(std::memory_order_relaxed) + header.private_bytes.load(std::memory_order_relaxed);
  snapshot.freed_inherited_blocks = header.freed_inherited_blocks.load(std::memory_order_relaxed);
  snapshot.freed_inherited_bytes = header.freed_inherited_bytes.load(std::memory_order_relaxed);
  snapshot.sandboxed_ns = header.sandboxed_ns.load(std::memory_order_relaxed);
  snapshot.thinned_snapshots = header.stream.now.thinned_snapshots;
  fill_scans(scratch, header.scan, snapshot);
  return writer.write_single(seep_proto_Message_snapshot_tag, seep_proto_Snapshot_fields, &snapshot);
}

// Where the two lists of one kind begin.
struct Heads {
  Ref part[2];
};

Heads heads(const RegionHeader& header, std::atomic<Ref> Newest::*list) {
  return {{(header.newest[0].*list).load(std::memory_order_acquire),
           (header.newest[1].*list).load(std::memory_order_acquire)}};
}

bool write_end(MessageWriter& writer, const EndFacts& facts) {
  seep_proto_End end = seep_proto_End_init_zero;
  end.how = static_cast<seep_proto_End_How>(facts.how);
  end.exit_status = facts.exit_status;
  end.exit_status_known = facts.exit_status_known != 0;
  end.signal = facts.signal;
  end.time_ns = facts.time_ns;
  return writer.write_single(seep_proto_Message_end_tag, seep_proto_End_fields, &end);
}

}  // namespace

bool encode_snapshot(Region region, EncoderScratch& scratch, StreamSink sink, SnapshotKind kind, uint64_t now_ns,
                     const EndFacts* end) noexcept {
  RegionHeader& header = region.header();
  EncoderProgress& progress = header.progress;
  MessageWriter writer(scratch, sink, progress.sequence);
  const bool everything = progress.write_everything != 0;
  progress.write_everything = 1;  // Until all of it is written.
  // The newest traces first: every module that they or older ones name was entered before them.
  const uint64_t private_alloc_blocks = header.private_alloc_blocks.load(std::memory_order_acquire);
  const Heads traces = heads(header, &Newest::trace);
  const Heads modules = heads(header, &Newest::module);
  seep_proto_Snapshot snapshot = seep_proto_Snapshot_init_zero;
  snapshot.kind = static_cast<seep_proto_Snapshot_Kind>(kind);
  snapshot.time_ns = now_ns;
  if ((everything || progress.sequence == 0) && !write_header(writer, scratch, header)) return false;
  for (unsigned part = 0; part < 2; ++part) {
    const Ref written = everything ? 0 : progress.newest_module[part];
    if (!write_modules(writer, scratch, region, modules.part[part], written)) return false;
  }
  for (const Ref newest : traces.part) {
    if (!write_traces(writer, region, newest, everything)) return false;
  }
  const Heads names = heads(header, &Newest::thread_name);
  writer.begin(seep_proto_Message_counters_tag);
  for (unsigned part = 0; part < 2; ++part) {
    const Ref written = everything ? 0 : progress.newest_thread_name[part];
    if (!write_thread_names(writer, scratch, region, names.part[part], written)) return false;
  }
  CounterTotals totals;
  for (const Ref newest : traces.part) {
    if (!write_counters(writer, region, newest, everything, kind, totals)) return false;
  }
  if (!writer.finish() || !write_snapshot(writer, scratch, header, totals, snapshot)) return false;
  memcpy(progress.newest_module, modules.part, sizeof modules.part);
  memcpy(progress.newest_thread_name, names.part, sizeof names.part);
  progress.private_alloc_blocks = private_alloc_blocks;
  ++progress.snapshots;
  if (end != nullptr && !write_end(writer, *end)) return false;
  progress.write_everything = 0;
  return true;
}

}  // namespace seep
