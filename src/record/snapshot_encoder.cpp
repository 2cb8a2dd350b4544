// SPDX-License-Identifier: Apache-2.0
//
// The snapshot encoder; see snapshot_encoder.h. One function a kind of message, then the snapshot that calls them.
#include "record/snapshot_encoder.h"

#include <algorithm>
#include <cstring>

#include "processor/processor.h"
#include "record/message_writer.h"
#include "record/module_table.h"
#include "record/trace_table.h"
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

struct Sums {
  uint64_t alloc_blocks, alloc_bytes, free_blocks, free_bytes, unknown_frees;
  uint64_t verdicts;  // Of all that a scan said.

  [[nodiscard]] uint64_t signature() const {
    const uint64_t mixed = alloc_blocks + free_blocks * 0x9E3779B97F4A7C15ull + alloc_bytes * 0xC2B2AE3D27D4EB4Full +
                           free_bytes * 0x165667B19E3779F9ull + unknown_frees * 0x27D4EB2F165667C5ull + verdicts;
    return mixed == 0 ? 1 : mixed;
  }
  // The same of what is written with its births, where there are any.
  [[nodiscard]] uint64_t signature_with_births() const {
    return alloc_blocks == free_blocks ? signature() : ~signature();
  }
};

// Outermost frames that two traces share.
uint32_t shared_outer(const Frame* a, uint32_t a_count, const Frame* b, uint32_t b_count) {
  uint32_t shared = 0;
  while (shared < a_count && shared < b_count && a[a_count - 1 - shared] == b[b_count - 1 - shared]) ++shared;
  return shared;
}

// The message's fields of a trace whose frames above the `shared` outermost are to be written.
seep_proto_Trace trace_item(EncoderScratch& scratch, Trace& trace, const Frame* frames, uint32_t shared) {
  const uint32_t count = trace.frame_count - shared;
  for (uint32_t i = 0; i < count; ++i) {
    scratch.modules[i] = frame_module(frames[i]);
    scratch.offsets[i] = frame_offset(frames[i]);
  }
  seep_proto_Trace item = seep_proto_Trace_init_zero;
  item.id = trace.id;
  item.modules = scratch.modules;
  item.offsets = scratch.offsets;
  item.modules_count = item.offsets_count = static_cast<pb_size_t>(count);
  item.shared_outer_frames = shared;
  item.cut = static_cast<seep_proto_Trace_Cut>(trace.cut);
  item.first_allocated_ns = trace.first_allocated_ns;
  return item;
}

// At most: tag, length, id, cut, time and the two arrays' heads, then 3 bytes of module and 7 of offset a frame.
constexpr size_t trace_item_bytes(uint32_t frames) { return 64 + frames * size_t{10}; }

bool counted(TraceTable& table, Trace& trace) {
  bool any = trace.unknown_frees.load(std::memory_order_relaxed) != 0 ||
             trace.is_freeing.load(std::memory_order_relaxed) != 0 ||
             trace.late_alloc_blocks.load(std::memory_order_relaxed) != 0;
  table.each_shard(trace,
                   [&](CounterBlock& shard) { any = any || shard.alloc_blocks.load(std::memory_order_relaxed) != 0; });
  return any;
}

bool write_traces(MessageWriter& writer, Region region, EncoderScratch& scratch, Ref newest, bool everything) {
  RegionHeader& header = region.header();
  TraceTable table(region);
  writer.begin(seep_proto_Message_traces_tag);
  Trace* previous = nullptr;  // In the message under construction.
  for (Ref ref = newest; ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    if ((trace.written_signature != 0 && !everything) || !counted(table, trace)) continue;
    const Frame* frames = trace.frames(header);
    const uint32_t count = trace.frame_count;
    if (count > kMaxDepth) return false;
    if (!writer.has_room(trace_item_bytes(count))) {  // A trace shares frames only with one in its own message.
      if (!writer.finish()) return false;
      writer.begin(seep_proto_Message_traces_tag);
      previous = nullptr;
    }
    const uint32_t shared =
        previous == nullptr ? 0 : shared_outer(frames, count, previous->frames(header), previous->frame_count);
    const seep_proto_Trace item = trace_item(scratch, trace, frames, shared);
    if (!writer.add(seep_proto_Traces_traces_tag, seep_proto_Trace_fields, &item)) return false;
    previous = &trace;
    if (trace.written_signature == 0) trace.written_signature = 1;
  }
  return writer.finish();
}

template <size_t N>
pb_size_t without_trailing_zeros(const uint64_t (&values)[N]) {
  size_t count = N;
  while (count > 0 && values[count - 1] == 0) --count;
  return static_cast<pb_size_t>(count);
}

struct EstimateSums {
  double blocks = 0, bytes = 0, blocks_variance = 0, bytes_variance = 0;

  void add(const WeightedSums& sums, double sign) {
    const auto value = [](const std::atomic<uint64_t>& bits) {
      return std::bit_cast<double>(bits.load(std::memory_order_relaxed));
    };
    blocks += sign * value(sums.blocks);
    bytes += sign * value(sums.bytes);
    blocks_variance += sign * value(sums.blocks_variance);
    bytes_variance += sign * value(sums.bytes_variance);
  }
  // `nothing`: the plain count is zero, so what is left is rounding.
  [[nodiscard]] seep_proto_WeightedSum item(bool nothing) const {
    const auto bounded = [nothing](double value) { return nothing || value < 0 ? 0.0 : value; };
    return {bounded(blocks), bounded(bytes), static_cast<float>(bounded(blocks_variance)),
            static_cast<float>(bounded(bytes_variance))};
  }
};

// Null where there is no scan, or this trace came after it.
const TraceVerdicts* find_verdicts(Region region, const Trace& trace) {
  const ScanState& scan = region.header().scan;
  const uint32_t standing = scan.standing.load(std::memory_order_acquire);
  if (standing == 0) return nullptr;
  const ScanResult& result = scan.results[standing - 1];
  if (trace.id == 0 || trace.id > result.capacity) return nullptr;
  return region.at<TraceVerdicts>(result.verdicts) + (trace.id - 1);
}

// Copies what a scan said of a trace. A hash of it, for the trace's signature.
uint64_t collect_verdicts(Region region, const Trace& trace, bool sampled, seep_proto_TraceCounters& item) {
  const TraceVerdicts* found = find_verdicts(region, trace);
  if (found == nullptr) return 0;
  const TraceVerdicts now = *found;
  uint64_t hash = now.held_blocks * 0x9E3779B97F4A7C15ull + now.held_bytes;
  bool any = false;
  for (unsigned i = 0; i < kVerdictClasses; ++i) {
    any = any || now.blocks[i] != 0;
    hash = (hash ^ now.blocks[i]) * 0xC2B2AE3D27D4EB4Full + now.bytes[i];
  }
  if (!any) return 0;
  item.has_verdicts = true;
  seep_proto_Verdicts& to = item.verdicts;
  to.definite_blocks = now.blocks[static_cast<unsigned>(VerdictClass::kDefinite)];
  to.definite_bytes = now.bytes[static_cast<unsigned>(VerdictClass::kDefinite)];
  to.indirect_blocks = now.blocks[static_cast<unsigned>(VerdictClass::kIndirect)];
  to.indirect_bytes = now.bytes[static_cast<unsigned>(VerdictClass::kIndirect)];
  to.possible_blocks = now.blocks[static_cast<unsigned>(VerdictClass::kPossible)];
  to.possible_bytes = now.bytes[static_cast<unsigned>(VerdictClass::kPossible)];
  to.reachable_blocks = now.blocks[static_cast<unsigned>(VerdictClass::kReachable)];
  to.reachable_bytes = now.bytes[static_cast<unsigned>(VerdictClass::kReachable)];
  to.held_blocks = now.held_blocks;
  to.held_bytes = now.held_bytes;
  to.has_definite_estimate = sampled;
  if (sampled) {
    to.definite_estimate = {now.definite_blocks, now.definite_bytes, static_cast<float>(now.definite_blocks_variance),
                            static_cast<float>(now.definite_bytes_variance)};
  }
  return hash == 0 ? 1 : hash;
}

void collect_freeing(Region region, const Trace& trace, seep_proto_TraceCounters& item) {
  const FreeingStack freeing = FreeingStack::unpack(trace.freeing.load(std::memory_order_relaxed));
  // One in private memory is not there for a reader from outside.
  if (freeing.trace == 0 || region.part_of(freeing.trace) != 0) return;
  item.freed_by_trace_id = region.at<Trace>(freeing.trace)->id;
  item.frees_looked_at = freeing.looked_at;
  item.frees_seen_there = freeing.seen;
}

// A count that is a difference may be read in the middle of an event, and be below zero then.
uint64_t not_negative(uint64_t value) { return static_cast<int64_t>(value) < 0 ? 0 : value; }

void collect_estimates(TraceTable& table, Trace& trace, seep_proto_TraceCounters& item) {
  EstimateSums alloc, live, temporary;
  table.each_shard(trace, [&](const CounterBlock& shard) {
    alloc.add(shard.alloc, 1);
    live.add(shard.alloc, 1);
    live.add(shard.freed, -1);
    temporary.add(shard.temporary, 1);
  });
  item.has_alloc_estimate = true;
  item.alloc_estimate = alloc.item(false);
  item.has_live_estimate = item.alloc_blocks != item.free_blocks;
  item.live_estimate = live.item(!item.has_live_estimate);
  item.has_temporary_estimate = item.temporary_blocks != 0;
  item.temporary_estimate = temporary.item(!item.has_temporary_estimate);
}

// Copies a trace's counters, all shards summed, into the message's fields.
Sums collect(TraceTable& table, Trace& trace, bool sampled, seep_proto_TraceCounters& item) {
  const TraceSums sums = table.sums(trace);
  item.alloc_blocks = sums.alloc_blocks;
  item.alloc_bytes = sums.alloc_bytes;
  item.free_blocks = sums.free_blocks;
  item.free_bytes = sums.free_bytes;
  item.temporary_blocks = sums.temporary_blocks;
  item.last_allocated_ns = sums.last_allocated_ns;
  for (unsigned i = 0; sums.ages_known && i < kLifetimeClasses; ++i) {
    item.lifetime_blocks[i] = not_negative(sums.lifetime_blocks[i]);
  }
  for (unsigned i = 0; sums.ages_known && i < kBirthClasses; ++i) {
    item.live_blocks_by_birth[i] = not_negative(sums.live_blocks_by_birth[i]);
    item.live_bytes_by_birth[i] = not_negative(sums.live_bytes_by_birth[i]);
  }
  if (sampled) collect_estimates(table, trace, item);
  item.unknown_frees = trace.unknown_frees.load(std::memory_order_relaxed);
  return {item.alloc_blocks, item.alloc_bytes, item.free_blocks, item.free_bytes, item.unknown_frees, 0};
}

void finish_counters(Trace& trace, seep_proto_TraceCounters& item) {
  item.trace_id = trace.id;
  // Several threads may not have looked at it lately.
  const uint64_t live_bytes = not_negative(item.alloc_bytes - item.free_bytes);
  item.peak_live_bytes = std::max(trace.peak_live_bytes.load(std::memory_order_relaxed), live_bytes);
  item.lifetime_blocks_count = without_trailing_zeros(item.lifetime_blocks);
  item.live_blocks_by_birth_count = without_trailing_zeros(item.live_blocks_by_birth);
  item.live_bytes_by_birth_count = without_trailing_zeros(item.live_bytes_by_birth);
  for (const auto& name : trace.thread_names) {
    const uint16_t id = name.load(std::memory_order_relaxed);
    if (id != 0) item.thread_name_ids[item.thread_name_ids_count++] = id;
  }
  item.more_thread_names = trace.more_thread_names.load(std::memory_order_relaxed) != 0;
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

// Births are a third of what there is to say of a trace, and change little: they are left out between snapshots that
// may be the last.
bool write_counters(MessageWriter& writer, Region region, Ref newest, bool everything, seep_proto_Snapshot& snapshot) {
  TraceTable table(region);
  const bool with_births = snapshot.kind != seep_proto_Snapshot_Kind_INTERVAL;
  const bool sampled = region.header().counters_bytes == sizeof(CounterBlock);
  for (Ref ref = newest; ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    if (trace.written_signature == 0) continue;  // Counted for the first time after write_traces went by.
    seep_proto_TraceCounters item = seep_proto_TraceCounters_init_zero;
    // Verdicts before the counts: they are never of more blocks than were allocated.
    const uint64_t verdicts = collect_verdicts(region, trace, sampled, item);
    Sums sums = collect(table, trace, sampled, item);
    sums.verdicts = verdicts;
    snapshot.alloc_blocks += sums.alloc_blocks;
    snapshot.alloc_bytes += sums.alloc_bytes;
    snapshot.free_blocks += sums.free_blocks;
    snapshot.free_bytes += sums.free_bytes;
    ++snapshot.traces;
    const uint64_t signature = with_births ? sums.signature_with_births() : sums.signature();
    const bool written = trace.written_signature == signature ||
                         (!with_births && trace.written_signature == sums.signature_with_births());
    if (written && !everything) continue;
    finish_counters(trace, item);
    if (!with_births) item.live_blocks_by_birth_count = item.live_bytes_by_birth_count = 0;
    collect_freeing(region, trace, item);
    if (!writer.add(seep_proto_Counters_counters_tag, seep_proto_TraceCounters_fields, &item)) return false;
    trace.written_signature = signature;
    ++snapshot.changed_counters;
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

bool write_snapshot(MessageWriter& writer, EncoderScratch& scratch, RegionHeader& header,
                    seep_proto_Snapshot& snapshot) {
  snapshot.number = header.progress.snapshots + 1;
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
    if (!write_traces(writer, region, scratch, newest, everything)) return false;
  }
  const Heads names = heads(header, &Newest::thread_name);
  writer.begin(seep_proto_Message_counters_tag);
  for (unsigned part = 0; part < 2; ++part) {
    const Ref written = everything ? 0 : progress.newest_thread_name[part];
    if (!write_thread_names(writer, scratch, region, names.part[part], written)) return false;
  }
  for (const Ref newest : traces.part) {
    if (!write_counters(writer, region, newest, everything, snapshot)) return false;
  }
  if (!writer.finish() || !write_snapshot(writer, scratch, header, snapshot)) return false;
  memcpy(progress.newest_module, modules.part, sizeof modules.part);
  memcpy(progress.newest_thread_name, names.part, sizeof names.part);
  progress.private_alloc_blocks = private_alloc_blocks;
  ++progress.snapshots;
  if (end != nullptr && !write_end(writer, *end)) return false;
  progress.write_everything = 0;
  return true;
}

}  // namespace seep
