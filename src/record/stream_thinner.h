// SPDX-License-Identifier: Apache-2.0
//
// Makes a stream smaller by taking out old snapshots (option max_stream). A stream is a header and then groups of
// messages, each closed by its Snapshot:
//
//     before   Header g0 | g1 g2 | g3 g4 g5 | g6 ...                   |  ...  newest
//     after    Header g0 |  (g2) |    (g5)  | ...                      |  ...  newest
//              kept        runs, each merged into its last group,        copied
//                          until `thin_until`
//
// Of the other groups of a run modules, traces and thread names are kept, a trace's counters only where no later group
// of the run has some for it, and their Snapshots are dropped. All numbers in a stream are absolute, so behind each
// Snapshot that stays a reader knows, byte for byte, what it knew there before: that is the guarantee. The Snapshot
// itself differs in two fields: `changed_counters` also counts those that were merged into its group,
// `thinned_snapshots` those that were taken out before it.
//
// A run is two groups where the same traces change in each, and else as many as it takes until a third of their
// counters is said again later. So every pass saves about a third of the old part or more, whatever changes how often,
// but for frames and modules, which all stay. Passes can be repeated: the past gets coarser with its age.
//
// Messages get new sequence numbers; where numbers were missing (a message was lost) as many are missing afterwards.
// An End that is followed by more is dropped, since it did not take place, and so is a Header that is said again.
// Whatever is damaged, cut before `source_bytes`, larger than the encoder's buffer or of a newer version is not thinned
// at all: the pass fails, and the caller drops what was written.
//
// The work is done in slices: each step() takes bounded time, reads nothing before where it stands, and needs about a
// KiB of stack. Between steps the source may grow by whole messages, which are copied in the end. A pass reads the
// source twice and writes the result once.
//
// Runs inside the host, on a thread that owns RegionHeader::snapshot_owner during each step, and in the analyzer. Never
// calls malloc, takes no lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/message_frame.h"
#include "record/snapshot_encoder.h"

namespace seep {

// The stream that is read, and the file that is made of it.
struct ThinningFiles {
  // How many bytes there were at `offset`, fewer than asked for only at the end; negative where reading failed.
  int64_t (*read_at)(void* context, uint64_t offset, void* into, size_t bytes);
  // False: could not be written whole.
  bool (*append)(void* context, const void* data, size_t bytes);
  void* context;
};

struct ThinningPlan {
  uint64_t source_bytes;  // Of the stream as its writer knows it. Fewer are a failure; more are whole messages, too.
  uint64_t thin_until;  // Snapshots that end behind this offset stay. At most source_bytes, which keeps only the last.
  void* table;          // StreamThinner::table_bytes() of the caller's memory. Less is allowed, down to nothing:
  size_t table_bytes;   // traces with higher ids then keep counters that they need not keep.
};

class StreamThinner {
 public:
  enum class Progress { kMore, kDone, kFailed };
  enum class Failure { kNone, kRead, kWrite, kUnfit };  // kUnfit: damaged, cut, or not written by this encoder.

  // For traces with the ids 1 to `traces` (RegionHeader::trace_count, or Snapshot.traces of the last one).
  [[nodiscard]] static constexpr size_t table_bytes(uint64_t traces) noexcept {
    return static_cast<size_t>(traces + 1) * sizeof(uint16_t);
  }

  void begin(const ThinningFiles& files, const ThinningPlan& plan) noexcept;

  // The files' context may move between steps.
  void use_context(void* context) noexcept { files_.context = context; }

  // Goes on until about `most_bytes` more were read or written; at least by a message, so at most 200 KiB over it.
  // kDone: all that the source has now is copied; after it has grown, another step copies the rest.
  [[nodiscard]] Progress step(uint64_t most_bytes) noexcept;

  [[nodiscard]] Failure failure() const noexcept { return failure_; }

  // Of what was written so far; final when the last step said kDone.
  [[nodiscard]] uint64_t written_bytes() const noexcept { return written_bytes_; }
  [[nodiscard]] uint64_t next_sequence() const noexcept { return sequence_; }  // Of the message that follows.
  [[nodiscard]] uint64_t removed_snapshots() const noexcept { return removed_snapshots_; }

 private:
  enum class Phase {
    kFirst,  // Copies the first group.
    kLook,   // Looks for the end of a run, and notes which of its groups is the last to name a trace,
    kMerge,  // then writes all groups but the last, without what is said again later,
    kKeep,   // then the last, and goes on with the next run.
    kRest,   // No run any more: copies.
  };
  enum class Loaded { kMessage, kEnd, kFailed };

  // Groups have numbers from 1; the table says 0 for what no group has named.
  static constexpr uint32_t kMostGroupsOfRun = 4096, kMostGroups = UINT16_MAX - kMostGroupsOfRun;
  static constexpr size_t kContentCapacity =
      EncoderScratch::kBufferBytes - EncoderScratch::kPrefixBytes - kFrameEndBytes;

  [[nodiscard]] Loaded load(uint64_t offset, bool verify, MessageFrame& frame) noexcept;
  [[nodiscard]] bool read_window(uint64_t offset) noexcept;
  [[nodiscard]] bool look_ahead() noexcept;
  [[nodiscard]] bool look_at(const MessageFrame& frame) noexcept;
  void begin_run() noexcept;
  void note_group() noexcept;
  [[nodiscard]] Loaded move_on() noexcept;
  void account_sequence(uint64_t sequence) noexcept;
  [[nodiscard]] bool note_traces(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool copy(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool copy_header(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool copy_end(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool copy_unchanged(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool copy_snapshot(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool end_group(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool collect_counters(const MessageFrame& frame) noexcept;
  [[nodiscard]] bool is_said_again(const WireField& counters, bool& again) noexcept;
  [[nodiscard]] uint16_t last_group_of(uint64_t trace) const noexcept;
  [[nodiscard]] bool send_collected() noexcept;
  [[nodiscard]] bool send(uint8_t* content, size_t content_bytes, uint64_t content_field) noexcept;
  [[nodiscard]] bool fail(Failure failure) noexcept;

  uint8_t* collected() noexcept { return collected_ + EncoderScratch::kPrefixBytes; }

  ThinningFiles files_;
  ThinningPlan plan_;
  Phase phase_;
  Failure failure_;
  uint64_t position_;           // Everything before it is written, or taken out.
  uint64_t looked_at_;          // How far the run was looked at.
  uint32_t run_first_;          // Number of its first group,
  uint32_t group_;              // and of the one that is looked at, or written.
  uint32_t run_last_;           // When it is known.
  uint64_t run_counters_;       // Those that its groups have,
  uint64_t run_traces_;         // and of so many traces they are.
  uint64_t expected_sequence_;  // Of the source.
  uint64_t sequence_;
  uint64_t written_bytes_;
  uint64_t removed_snapshots_;
  uint64_t merged_counters_;  // Into the group under way.
  uint64_t work_bytes_;       // In this step.
  uint32_t header_crc_;       // Of the first header's content.
  bool has_header_;
  size_t window_bytes_;
  uint64_t window_offset_;  // In the source.
  size_t collected_bytes_;
  // Counters of the run under way: those of its groups that stay, then all of the last.
  uint8_t collected_[EncoderScratch::kBufferBytes];
  // A stretch of the source, with room before it for the frame of its first message.
  uint8_t window_[EncoderScratch::kPrefixBytes + EncoderScratch::kBufferBytes];
};

}  // namespace seep
