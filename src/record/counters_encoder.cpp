// SPDX-License-Identifier: Apache-2.0
//
// Counters as messages; see counters_encoder.h. Others go on counting meanwhile: a trace's counters are copied, and
// what is written and compared is the copy.
#include "record/counters_encoder.h"

#include <algorithm>
#include <bit>

#include "record/short_number.h"
#include "record/trace_table.h"
#include "record/wire_writer.h"

namespace seep {
namespace {

struct Estimate {
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
  void bound(bool nothing) {
    for (double* value : {&blocks, &bytes, &blocks_variance, &bytes_variance}) {
      if (nothing || *value < 0) *value = 0;
    }
  }
};

struct Estimates {
  Estimate alloc, live, temporary;
};

// What is said of a trace.
struct Counted {
  TraceSums sums;
  uint64_t unknown_frees = 0;
  TraceVerdicts verdicts = {};
  uint64_t verdicts_hash = 0;  // 0: a scan said nothing.

  [[nodiscard]] uint64_t signature() const {
    const uint64_t mixed = sums.alloc_blocks + sums.free_blocks * 0x9E3779B97F4A7C15ull +
                           sums.alloc_bytes * 0xC2B2AE3D27D4EB4Full + sums.free_bytes * 0x165667B19E3779F9ull +
                           unknown_frees * 0x27D4EB2F165667C5ull + verdicts_hash;
    return mixed == 0 ? 1 : mixed;
  }
  [[nodiscard]] bool has_live() const { return sums.alloc_blocks != sums.free_blocks; }
  // The same of what is written with its ages, where they were left out before.
  [[nodiscard]] uint64_t signature_with_ages() const { return has_live() ? ~signature() : signature(); }
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

void collect_verdicts(Region region, const Trace& trace, Counted& counted) {
  const TraceVerdicts* found = find_verdicts(region, trace);
  if (found == nullptr) return;
  const TraceVerdicts& now = counted.verdicts = *found;
  uint64_t hash = now.held_blocks * 0x9E3779B97F4A7C15ull + now.held_bytes;
  bool any = false;
  for (unsigned i = 0; i < kVerdictClasses; ++i) {
    any = any || now.blocks[i] != 0;
    hash = (hash ^ now.blocks[i]) * 0xC2B2AE3D27D4EB4Full + now.bytes[i];
  }
  if (any) counted.verdicts_hash = hash == 0 ? 1 : hash;
}

Counted collect(TraceTable& table, Region region, Trace& trace) {
  Counted counted;
  collect_verdicts(region, trace, counted);  // Before the counts: they are never of more blocks than were allocated.
  counted.sums = table.sums(trace);
  counted.unknown_frees = trace.unknown_frees.load(std::memory_order_relaxed);
  return counted;
}

Estimates collect_estimates(TraceTable& table, Trace& trace, const Counted& counted) {
  Estimates estimates;
  table.each_shard(trace, [&](const CounterBlock& shard) {
    estimates.alloc.add(shard.alloc, 1);
    estimates.live.add(shard.alloc, 1);
    estimates.live.add(shard.freed, -1);
    estimates.temporary.add(shard.temporary, 1);
  });
  estimates.alloc.bound(false);
  estimates.live.bound(!counted.has_live());
  estimates.temporary.bound(counted.sums.temporary_blocks == 0);
  return estimates;
}

// A count that is a difference may be read in the middle of an event, and be below zero then.
constexpr uint64_t not_negative(uint64_t value) { return static_cast<int64_t>(value) < 0 ? 0 : value; }

template <size_t N>
void write_classes(WireWriter& wire, unsigned field, const uint64_t (&values)[N]) {
  size_t count = N;
  while (count > 0 && not_negative(values[count - 1]) == 0) --count;
  wire.packed(field, count, [&values](size_t i) { return not_negative(values[i]); });
}

// How old blocks were, and are.
void write_ages(WireWriter& wire, const TraceSums& sums) {
  write_classes(wire, seep_proto_TraceCounters_lifetime_blocks_tag, sums.lifetime_blocks);
  write_classes(wire, seep_proto_TraceCounters_live_blocks_by_birth_tag, sums.live_blocks_by_birth);
  write_classes(wire, seep_proto_TraceCounters_live_bytes_by_birth_tag, sums.live_bytes_by_birth);
}

void write_thread_names(WireWriter& wire, const Trace& trace) {
  uint16_t ids[kTraceThreadNames];
  size_t count = 0;
  for (const auto& name : trace.thread_names) {
    const uint16_t id = name.load(std::memory_order_relaxed);
    if (id != 0) ids[count++] = id;
  }
  wire.packed(seep_proto_TraceCounters_thread_name_ids_tag, ids, count);
  wire.number(seep_proto_TraceCounters_more_thread_names_tag,
              uint64_t{trace.more_thread_names.load(std::memory_order_relaxed) != 0});
}

void write_estimate(WireWriter& wire, unsigned field, const Estimate& estimate) {
  uint8_t* const item = wire.begin_item(field);
  wire.real(seep_proto_WeightedSum_blocks_tag, estimate.blocks);
  wire.real(seep_proto_WeightedSum_bytes_tag, estimate.bytes);
  wire.real(seep_proto_WeightedSum_blocks_variance_tag, static_cast<float>(estimate.blocks_variance));
  wire.real(seep_proto_WeightedSum_bytes_variance_tag, static_cast<float>(estimate.bytes_variance));
  wire.end_item(item);
}

void write_estimates(WireWriter& wire, const Estimates& estimates, const Counted& counted) {
  write_estimate(wire, seep_proto_TraceCounters_alloc_estimate_tag, estimates.alloc);
  if (counted.has_live()) write_estimate(wire, seep_proto_TraceCounters_live_estimate_tag, estimates.live);
  if (counted.sums.temporary_blocks != 0) {
    write_estimate(wire, seep_proto_TraceCounters_temporary_estimate_tag, estimates.temporary);
  }
}

void write_short_estimates(WireWriter& wire, const Estimates& estimates) {
  const auto value = [](double number) { return short_number(number, kEstimateDigits, Round::kNearest); };
  const auto variance = [](double number) { return short_number(number, kVarianceDigits, Round::kUp); };
  const auto& [alloc, live, temporary] = estimates;
  const uint32_t numbers[] = {value(alloc.blocks),
                              value(alloc.bytes),
                              variance(alloc.blocks_variance),
                              variance(alloc.bytes_variance),
                              value(live.blocks),
                              value(live.bytes),
                              variance(live.blocks_variance),
                              variance(live.bytes_variance),
                              value(temporary.blocks),
                              variance(temporary.blocks_variance)};
  size_t count = std::size(numbers);
  while (count > 0 && numbers[count - 1] == 0) --count;
  wire.packed(seep_proto_TraceCounters_short_estimates_tag, numbers, count);
}

void write_verdicts(WireWriter& wire, const Counted& counted, bool sampled) {
  if (counted.verdicts_hash == 0) return;
  const TraceVerdicts& now = counted.verdicts;
  constexpr struct {
    VerdictClass verdict;
    unsigned blocks_field, bytes_field;
  } kFields[] = {
      {VerdictClass::kDefinite, seep_proto_Verdicts_definite_blocks_tag, seep_proto_Verdicts_definite_bytes_tag},
      {VerdictClass::kIndirect, seep_proto_Verdicts_indirect_blocks_tag, seep_proto_Verdicts_indirect_bytes_tag},
      {VerdictClass::kPossible, seep_proto_Verdicts_possible_blocks_tag, seep_proto_Verdicts_possible_bytes_tag},
      {VerdictClass::kReachable, seep_proto_Verdicts_reachable_blocks_tag, seep_proto_Verdicts_reachable_bytes_tag}};
  uint8_t* const item = wire.begin_item(seep_proto_TraceCounters_verdicts_tag);
  for (const auto& [verdict, blocks_field, bytes_field] : kFields) {
    wire.number(blocks_field, now.blocks[static_cast<unsigned>(verdict)]);
    wire.number(bytes_field, now.bytes[static_cast<unsigned>(verdict)]);
  }
  wire.number(seep_proto_Verdicts_held_blocks_tag, now.held_blocks);
  wire.number(seep_proto_Verdicts_held_bytes_tag, now.held_bytes);
  if (sampled) {
    write_estimate(
        wire, seep_proto_Verdicts_definite_estimate_tag,
        {now.definite_blocks, now.definite_bytes, now.definite_blocks_variance, now.definite_bytes_variance});
  }
  wire.end_item(item);
}

void write_freeing(WireWriter& wire, Region region, const Trace& trace) {
  const FreeingStack freeing = FreeingStack::unpack(trace.freeing.load(std::memory_order_relaxed));
  // One in private memory is not there for a reader from outside.
  if (freeing.trace == 0 || region.part_of(freeing.trace) != 0) return;
  wire.number(seep_proto_TraceCounters_freed_by_trace_id_tag, region.at<Trace>(freeing.trace)->id);
  wire.number(seep_proto_TraceCounters_frees_looked_at_tag, freeing.looked_at);
  wire.number(seep_proto_TraceCounters_frees_seen_there_tag, freeing.seen);
}

void write_sums(WireWriter& wire, const Trace& trace, const TraceSums& sums) {
  // Several threads may not have looked at it lately.
  const uint64_t live_bytes = not_negative(sums.alloc_bytes - sums.free_bytes);
  wire.number(seep_proto_TraceCounters_trace_id_tag, trace.id);
  wire.number(seep_proto_TraceCounters_alloc_blocks_tag, sums.alloc_blocks);
  wire.number(seep_proto_TraceCounters_alloc_bytes_tag, sums.alloc_bytes);
  wire.number(seep_proto_TraceCounters_free_blocks_tag, sums.free_blocks);
  wire.number(seep_proto_TraceCounters_free_bytes_tag, sums.free_bytes);
  wire.number(seep_proto_TraceCounters_peak_live_bytes_tag,
              std::max(trace.peak_live_bytes.load(std::memory_order_relaxed), live_bytes));
}

// More than the fields' number times their size, and the arrays'.
constexpr size_t kMostCountersBytes = 1024;
static_assert(40 * WireWriter::kMostFieldBytes + (kLifetimeClasses + 2 * kBirthClasses) * kMaxVarintBytes <
              kMostCountersBytes);

class CountersEncoder {
 public:
  CountersEncoder(Region region, SnapshotKind kind)
      : region_(region),
        table_(region),
        is_interval_(kind == SnapshotKind::kInterval),
        sampled_(region.header().counters_bytes == sizeof(CounterBlock)) {}

  // How old blocks were and are is half of what there is to say of a trace, and changes little: it is left out between
  // snapshots that may be the last, where one of these will say it. Estimates are short there.
  const uint8_t* write(uint8_t* at, Trace& trace, const Counted& counted) {
    WireWriter wire(at);
    uint8_t* const item = wire.begin_item(seep_proto_Counters_counters_tag);
    const bool with_ages = !is_interval_ || !counted.has_live();
    write_sums(wire, trace, counted.sums);
    if (with_ages) wire.number(seep_proto_TraceCounters_temporary_blocks_tag, counted.sums.temporary_blocks);
    wire.number(seep_proto_TraceCounters_last_allocated_ns_tag, counted.sums.last_allocated_ns);
    if (with_ages && counted.sums.ages_known) write_ages(wire, counted.sums);
    write_thread_names(wire, trace);
    Estimates estimates;
    if (sampled_) estimates = collect_estimates(table_, trace, counted);
    if (!with_ages) estimates.temporary = {};
    if (sampled_ && !is_interval_) write_estimates(wire, estimates, counted);
    wire.number(seep_proto_TraceCounters_unknown_frees_tag, counted.unknown_frees);
    write_verdicts(wire, counted, sampled_);
    write_freeing(wire, region_, trace);
    if (sampled_ && is_interval_) write_short_estimates(wire, estimates);
    wire.end_item(item);
    return wire.at();
  }

  [[nodiscard]] Counted collect_of(Trace& trace) { return collect(table_, region_, trace); }
  [[nodiscard]] uint64_t signature(const Counted& counted) const {
    return is_interval_ ? counted.signature() : counted.signature_with_ages();
  }
  [[nodiscard]] bool is_written(const Trace& trace, const Counted& counted) const {
    return trace.written_signature == signature(counted) ||
           (is_interval_ && trace.written_signature == counted.signature_with_ages());
  }

 private:
  Region region_;
  TraceTable table_;
  bool is_interval_, sampled_;
};

}  // namespace

bool write_counters(MessageWriter& writer, Region region, Ref newest, bool everything, SnapshotKind kind,
                    CounterTotals& totals) noexcept {
  CountersEncoder encoder(region, kind);
  for (Ref ref = newest; ref != 0; ref = region.at<Trace>(ref)->next_older) {
    Trace& trace = *region.at<Trace>(ref);
    if (trace.written_signature == 0) continue;  // Counted for the first time after write_traces went by.
    const Counted counted = encoder.collect_of(trace);
    totals.alloc_blocks += counted.sums.alloc_blocks;
    totals.alloc_bytes += counted.sums.alloc_bytes;
    totals.free_blocks += counted.sums.free_blocks;
    totals.free_bytes += counted.sums.free_bytes;
    ++totals.traces;
    if (encoder.is_written(trace, counted) && !everything) continue;
    uint8_t* const at = writer.begin_item(kMostCountersBytes);
    if (at == nullptr) return false;
    writer.end_item(encoder.write(at, trace, counted));
    trace.written_signature = encoder.signature(counted);
    ++totals.changed_counters;
  }
  return true;
}

}  // namespace seep
