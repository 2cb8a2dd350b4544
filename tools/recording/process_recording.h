// SPDX-License-Identifier: Apache-2.0
// The model of one stream: what one process image did, as far as its messages say.
//
// Built by applying messages in the order of the stream. All numbers in a stream are absolute, so the newest message
// about a trace is the truth about it, and a lost one is healed by the next. Of the time before, only what the growth
// of the last window needs is kept.
//
// What is applied is well-formed, and may still say anything. What is read here is such that nothing downstream needs
// care: stacks have at most kMaxDepth frames, paths and names a length that the kernel knows, estimates are numbers
// from 0 to 2^80. What is not is a contradiction; of it nothing, or a part, is kept. One thread; then read-only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "recording/compression_damage.h"
#include "recording/counter_history.h"
#include "recording/frame_tree.h"
#include "recording/stream_reader.h"
#include "recording/trace_records.h"
#include "seep.pb.h"

namespace seep {

// One closed snapshot: its own words, and the sums of the counters as they had been read when it closed.
struct SnapshotRecord {
  proto::Snapshot snapshot;
  uint64_t read_alloc_blocks = 0;
  uint64_t read_live_bytes = 0;
};

class ProcessRecording {
 public:
  explicit ProcessRecording(std::string stream_path, uint64_t growth_window_ns = kGrowthWindowNs)
      : stream_path_(std::move(stream_path)), moments_(growth_window_ns) {}

  // Throws an Error for a stream that this version cannot read (a newer schema).
  void apply(const proto::Message& message, uint64_t offset);

  const std::string& stream_path() const { return stream_path_; }
  const proto::Header& header() const { return header_; }
  bool has_header() const { return has_header_; }
  bool observed() const { return !header_.has_not_observed(); }
  // 1: exact. A stream whose header was lost says it in its snapshots.
  uint64_t sample_bytes() const;
  bool exact() const { return sample_bytes() == 1; }

  const FrameTree& frames() const { return frames_; }
  const absl::flat_hash_map<uint32_t, proto::Module>& modules() const { return modules_; }
  const TraceRecords& traces() const { return traces_; }
  const std::vector<SnapshotRecord>& snapshots() const { return snapshots_; }
  const std::optional<proto::End>& end() const { return end_; }
  std::string thread_name(uint32_t id) const;

  // From the newest closed snapshot that is at least the growth window older than the newest one, or from the start, to
  // the newest one; nothing where none is closed.
  std::optional<GrowthSpan> growth_span() const;
  // What the counters of a trace of this recording were at an end of that span.
  static CounterSums sums_at(const TraceRecord& trace, SnapshotOrdinal snapshot);

  // How the last closed snapshot came about.
  std::optional<proto::Snapshot::Kind> last_snapshot_kind() const;
  // Nothing that was recorded can be missing at the end: the process said its last word itself, or its region was read
  // after its death.
  bool complete_to_the_end() const;

  // The last leak scan that came to its end: the verdicts in the counters of traces are its, and mean nothing where it
  // is null. And one after it that did not.
  const proto::Scan* scan() const;
  const proto::Scan* failed_scan() const;

  // The latest snapshot's account of what was not recorded.
  const proto::Loss& loss() const;
  // When the recording was last known to be true.
  uint64_t last_time_ns() const;
  // Allocations that the last snapshot counts and that no counters that were read account for: lost messages.
  uint64_t unread_blocks() const;
  // Something in well-formed messages contradicts the schema: where it was first, and what.
  const std::optional<std::string>& contradiction() const { return contradiction_; }

  // What the reader said about the stream's bytes.
  std::vector<Damage> damage;  // Offsets are the raw stream's.
  bool compressed = false;
  std::optional<CompressionDamage> compression_damage;
  uint64_t lost_messages = 0;
  uint64_t next_sequence = 0;

 private:
  void apply_header(const proto::Header& header, uint64_t offset);
  void apply_modules(const proto::Modules& modules, uint64_t offset);
  void apply_traces(const proto::Traces& traces, uint64_t offset);
  void apply_counters(const proto::Counters& counters, uint64_t offset);
  void apply_snapshot(const proto::Snapshot& snapshot, uint64_t offset);
  void contradict(uint64_t offset, const std::string& what);

  std::string stream_path_;
  proto::Header header_;
  bool has_header_ = false;
  FrameTree frames_;
  absl::flat_hash_map<uint32_t, proto::Module> modules_;
  TraceRecords traces_;
  absl::flat_hash_map<uint32_t, std::string> thread_names_;
  std::vector<SnapshotRecord> snapshots_;
  GrowthMoments moments_;
  std::optional<proto::End> end_;
  std::optional<std::string> contradiction_;
  // Sums of the latest counters, kept as they change.
  uint64_t alloc_blocks_ = 0;
  uint64_t alloc_bytes_ = 0;
  uint64_t free_bytes_ = 0;
  uint64_t last_allocated_ns_ = 0;  // The latest that any counters said.
};

}  // namespace seep
