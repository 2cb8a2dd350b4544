// SPDX-License-Identifier: Apache-2.0
// Applying a stream's messages to the model.
#include "recording/process_recording.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "error.h"
#include "record/short_number.h"
#include "record/snapshot_encoder.h"

namespace seep {
namespace {

// Longer ones the kernel does not have. Both are copied for each of many uses.
constexpr size_t kMostPathBytes = 4096;
constexpr size_t kMostThreadNameBytes = 15;
// More than any program allocates; far from where squares and quotients of such numbers leave the range of a double.
constexpr double kMostEstimate = 0x1p80;
// What the recorder keeps of a program's suppressions, and some more.
constexpr size_t kMostSuppressionBytes = 16384;
// What remains of a sum of which samples were added and taken away again one by one, as a share of what was added.
constexpr double kRounding = 1e-6;

// Makes a number one of which sums and quantiles can be made. False: it was none that a writer can mean.
template <typename Number>
bool make_plausible(Number added, Number most, Number& value) {
  if (value >= 0 && value <= most) return true;
  const bool is_rounding = value < 0 && -value <= kRounding * added;
  value = 0;
  return is_rounding;
}

// `all` is the sum that this one is a part of, with what was taken away again.
bool make_plausible(const proto::WeightedSum& all, proto::WeightedSum& sum) {
  double blocks = sum.blocks(), bytes = sum.bytes();
  float blocks_variance = sum.blocks_variance(), bytes_variance = sum.bytes_variance();
  constexpr float kMostVariance = std::numeric_limits<float>::max();
  bool plausible = make_plausible(all.blocks(), kMostEstimate, blocks);
  plausible &= make_plausible(all.bytes(), kMostEstimate, bytes);
  plausible &= make_plausible(all.blocks_variance(), kMostVariance, blocks_variance);
  plausible &= make_plausible(all.bytes_variance(), kMostVariance, bytes_variance);
  sum.set_blocks(blocks);
  sum.set_bytes(bytes);
  sum.set_blocks_variance(blocks_variance);
  sum.set_bytes_variance(bytes_variance);
  return plausible;
}

bool make_plausible(proto::TraceCounters& counters) {
  bool plausible = true;
  if (counters.has_alloc_estimate()) {
    plausible &= make_plausible(proto::WeightedSum::default_instance(), *counters.mutable_alloc_estimate());
  }
  if (counters.has_live_estimate()) {
    plausible &= make_plausible(counters.alloc_estimate(), *counters.mutable_live_estimate());
  }
  if (counters.has_temporary_estimate()) {
    plausible &= make_plausible(counters.alloc_estimate(), *counters.mutable_temporary_estimate());
  }
  if (counters.has_verdicts() && counters.verdicts().has_definite_estimate()) {
    plausible &= make_plausible(counters.alloc_estimate(), *counters.mutable_verdicts()->mutable_definite_estimate());
  }
  return plausible;
}

// The estimates of a snapshot between others, as the other kinds have them.
void expand_short_estimates(proto::TraceCounters& counters) {
  if (counters.short_estimates().empty()) return;
  const auto number = [&counters](int index, unsigned digits) {
    return index < counters.short_estimates_size() ? value_of_short_number(counters.short_estimates(index), digits) : 0;
  };
  const auto fill = [&number](proto::WeightedSum& sum, int blocks, int bytes, int blocks_variance, int bytes_variance) {
    sum.set_blocks(number(blocks, kEstimateDigits));
    sum.set_bytes(number(bytes, kEstimateDigits));
    sum.set_blocks_variance(static_cast<float>(number(blocks_variance, kVarianceDigits)));
    sum.set_bytes_variance(static_cast<float>(number(bytes_variance, kVarianceDigits)));
  };
  constexpr int kNotSaid = std::numeric_limits<int>::max();
  fill(*counters.mutable_alloc_estimate(), 0, 1, 2, 3);
  fill(*counters.mutable_live_estimate(), 4, 5, 6, 7);
  fill(*counters.mutable_temporary_estimate(), 8, kNotSaid, 9, kNotSaid);
  counters.clear_short_estimates();
}

}  // namespace

void ProcessRecording::apply(const proto::Message& message, uint64_t offset) {
  end_.reset();  // An End that something follows was written before an exec that failed.
  switch (message.content_case()) {
    case proto::Message::kHeader: return apply_header(message.header(), offset);
    case proto::Message::kModules: return apply_modules(message.modules(), offset);
    case proto::Message::kTraces: return apply_traces(message.traces(), offset);
    case proto::Message::kCounters: return apply_counters(message.counters(), offset);
    case proto::Message::kSnapshot: return apply_snapshot(message.snapshot(), offset);
    case proto::Message::kEnd: end_ = message.end(); return;
    case proto::Message::CONTENT_NOT_SET:
      return;  // Of a later minor addition: nothing that this version would know to show.
  }
}

void ProcessRecording::apply_header(const proto::Header& header, uint64_t offset) {
  if (header.version() > kStreamVersion) {
    throw Error(ExitCode::kUnreadable, stream_path_,
                absl::StrFormat("was written by a newer seep: version %u of the stream, and this seep reads up to %u",
                                header.version(), kStreamVersion));
  }
  if (has_header_) {  // Said again after a snapshot that could not be written whole.
    if (header.recording_id() != header_.recording_id()) contradict(offset, "the Header of another recording");
    return;
  }
  if (header.version() == 0) contradict(offset, "a Header without a version");
  header_ = header;
  has_header_ = true;
}

void ProcessRecording::apply_modules(const proto::Modules& modules, uint64_t offset) {
  for (const proto::Module& module : modules.modules()) {
    if (module.id() == 0) {
      contradict(offset, "a module with the number 0");
      continue;
    }
    proto::Module& known = modules_[module.id()] = module;
    if (known.path().size() <= kMostPathBytes) continue;
    contradict(offset, absl::StrFormat("the path of module %u has %u bytes", module.id(), known.path().size()));
    known.mutable_path()->resize(kMostPathBytes);
  }
}

void ProcessRecording::apply_traces(const proto::Traces& traces, uint64_t offset) {
  // The trace before, outermost node first: what the next one may share.
  std::vector<FrameTree::Node> path;
  for (const proto::Trace& trace : traces.traces()) {
    const bool plausible =
        trace.id() != 0 && trace.modules_size() == trace.offsets_size() && trace.shared_outer_frames() <= path.size();
    if (!plausible) {
      contradict(offset, absl::StrFormat("trace %u is malformed", trace.id()));
      path.clear();
      continue;
    }
    path.resize(trace.shared_outer_frames());
    const size_t depth = path.size() + static_cast<size_t>(trace.modules_size());
    const bool too_deep = depth > kMaxDepth;
    if (too_deep) {
      contradict(offset, absl::StrFormat("trace %u has %u frames", trace.id(), depth));
      path.clear();
    }
    for (int index = too_deep ? -1 : trace.modules_size() - 1; index >= 0; --index) {
      const FrameTree::Node caller = path.empty() ? FrameTree::kNoNode : path.back();
      path.push_back(frames_.add(caller, {trace.modules(index), trace.offsets(index)}));
    }
    TraceRecord& record = traces_[trace.id()];
    record.is_known = true;
    record.innermost = path.empty() ? FrameTree::kNoNode : path.back();
    record.cut = trace.cut();
    record.first_allocated_ns = trace.first_allocated_ns();
  }
}

void ProcessRecording::apply_counters(const proto::Counters& counters, uint64_t offset) {
  for (const proto::ThreadName& thread : counters.thread_names()) {
    if (thread.name().size() > kMostThreadNameBytes) contradict(offset, "a thread's name is too long");
    thread_names_[thread.id()] = thread.name().substr(0, kMostThreadNameBytes);
  }
  for (const proto::TraceCounters& changed : counters.counters()) {
    TraceRecord& record = traces_[changed.trace_id()];
    alloc_blocks_ += changed.alloc_blocks() - record.counters.alloc_blocks();
    alloc_bytes_ += changed.alloc_bytes() - record.counters.alloc_bytes();
    free_bytes_ += changed.free_bytes() - record.counters.free_bytes();
    const bool from_before = record.counters_since != 0 && record.counters_since != moments_.open();
    if (from_before) moments_.keep(record.past, {record.counters_since, sums_of(record.counters)});
    record.counters = changed;
    expand_short_estimates(record.counters);
    last_allocated_ns_ = std::max(last_allocated_ns_, changed.last_allocated_ns());
    if (!make_plausible(record.counters)) {
      contradict(offset,
                 absl::StrFormat("an estimate of trace %u is no number of blocks or bytes", changed.trace_id()));
    }
    if (changed.frees_seen_there() > changed.frees_looked_at()) {
      contradict(offset, absl::StrFormat("more frees of trace %u were seen at one stack than were looked at",
                                         changed.trace_id()));
      record.counters.set_frees_seen_there(changed.frees_looked_at());
    }
    record.counters_since = moments_.open();
  }
}

void ProcessRecording::apply_snapshot(const proto::Snapshot& snapshot, uint64_t offset) {
  // Only the last one's scans are asked for, and there may be very many snapshots.
  if (!snapshots_.empty()) {
    snapshots_.back().snapshot.clear_scan();
    snapshots_.back().snapshot.clear_failed_scan();
  }
  snapshots_.push_back({snapshot, alloc_blocks_, alloc_bytes_ - std::min(free_bytes_, alloc_bytes_)});
  proto::Snapshot& last = snapshots_.back().snapshot;
  if (last.scan().failure() != proto::Scan::NONE) {
    contradict(offset, "the verdicts are of a leak scan that failed");
    last.clear_scan();
  }
  if (last.scan().default_suppressions().size() > kMostSuppressionBytes) {
    contradict(offset, absl::StrFormat("%u bytes of suppressions", last.scan().default_suppressions().size()));
    last.mutable_scan()->clear_default_suppressions();  // A part of a pattern might match more than the whole.
  }
  moments_.close(snapshot.time_ns());
}

std::optional<GrowthSpan> ProcessRecording::growth_span() const {
  // A process that allocated nothing more until it ended did not grow until then either.
  const bool nothing_came_after = end_ && complete_to_the_end();
  return moments_.span(nothing_came_after ? end_->time_ns() : 0);
}

CounterSums ProcessRecording::sums_at(const TraceRecord& trace, SnapshotOrdinal snapshot) {
  if (trace.counters_since != 0 && trace.counters_since <= snapshot) return sums_of(trace.counters);
  const auto later = std::find_if(trace.past.begin(), trace.past.end(),
                                  [snapshot](const PastCounters& past) { return past.since > snapshot; });
  return later == trace.past.begin() ? CounterSums() : std::prev(later)->sums;
}

std::optional<proto::Snapshot::Kind> ProcessRecording::last_snapshot_kind() const {
  if (snapshots_.empty()) return std::nullopt;
  return snapshots_.back().snapshot.kind();
}

bool ProcessRecording::complete_to_the_end() const {
  const auto kind = last_snapshot_kind();
  return kind == proto::Snapshot::EXIT || kind == proto::Snapshot::EXEC || kind == proto::Snapshot::POST_MORTEM;
}

uint64_t ProcessRecording::sample_bytes() const {
  if (header_.sample_bytes() != 0) return header_.sample_bytes();
  return snapshots_.empty() ? 0 : snapshots_.back().snapshot.sample_bytes();
}

std::string ProcessRecording::thread_name(uint32_t id) const {
  const auto found = thread_names_.find(id);
  return found == thread_names_.end() ? std::string() : found->second;
}

const proto::Scan* ProcessRecording::scan() const {
  if (snapshots_.empty() || !snapshots_.back().snapshot.has_scan()) return nullptr;
  return &snapshots_.back().snapshot.scan();
}

const proto::Scan* ProcessRecording::failed_scan() const {
  if (snapshots_.empty() || !snapshots_.back().snapshot.has_failed_scan()) return nullptr;
  return &snapshots_.back().snapshot.failed_scan();
}

const proto::Loss& ProcessRecording::loss() const {
  return snapshots_.empty() ? proto::Loss::default_instance() : snapshots_.back().snapshot.loss();
}

uint64_t ProcessRecording::last_time_ns() const {
  uint64_t latest = snapshots_.empty() ? 0 : snapshots_.back().snapshot.time_ns();
  if (end_) latest = std::max(latest, end_->time_ns());
  // Counters of a snapshot that was never closed are newer than the last one that was.
  return std::max(latest, last_allocated_ns_);
}

uint64_t ProcessRecording::unread_blocks() const {
  if (snapshots_.empty()) return 0;
  const SnapshotRecord& last = snapshots_.back();
  return last.snapshot.alloc_blocks() - std::min(last.read_alloc_blocks, last.snapshot.alloc_blocks());
}

void ProcessRecording::contradict(uint64_t offset, const std::string& what) {
  if (!contradiction_) contradiction_ = absl::StrFormat("at byte %u: contradicts itself: %s", offset, what);
}

}  // namespace seep
