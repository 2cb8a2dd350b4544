// SPDX-License-Identifier: Apache-2.0
//
// Takes old snapshots out of a stream; see stream_thinner.h. First how the source is read, then what happens to each
// kind of message, then the steps.
#include "record/stream_thinner.h"

#include <cstring>

namespace seep {
namespace {

// Numbers of fields, of the messages whose bytes are looked into.
constexpr uint64_t kHeaderVersion = 1, kCountersCounters = 1, kTraceId = 1, kSnapshotChangedCounters = 7,
                   kSnapshotThinned = 15;

// Copies the fields of a message up to number `before`, and `number` = `value` behind them.
struct FieldCopier {
  const uint8_t* from;
  const uint8_t* const end;
  uint8_t* to;
  WireField field{};
  bool read = false;  // `field` is read, and not copied yet.

  // Moves on to the next field; false at the end. `good` is cleared where the bytes are no message.
  bool next(bool& good) {
    if (read) return true;
    if (from == end) return false;
    good = read = read_field(from, end, field);
    return read;
  }

  // `number` gets `increase` more than it had; it is a varint that is there at most once.
  bool add_to(uint64_t number, uint64_t increase) {
    bool good = true;
    uint64_t value = increase;
    for (; next(good) && field.number <= number; read = false) {
      if (field.number == number && field.type == WireType::kVarint) value += field.value;
      else copy_field();
    }
    if (good && value != 0) to = write_varint(write_tag(to, number, WireType::kVarint), value);
    return good;
  }

  bool copy_rest() {
    bool good = true;
    for (; next(good); read = false) copy_field();
    return good;
  }

  void copy_field() {
    memcpy(to, field.start, field.bytes());
    to += field.bytes();
  }
};

}  // namespace

void StreamThinner::begin(const ThinningFiles& files, const ThinningPlan& plan) noexcept {
  files_ = files;
  plan_ = plan;
  if (plan_.thin_until > plan_.source_bytes) plan_.thin_until = plan_.source_bytes;
  phase_ = Phase::kFirst;
  failure_ = Failure::kNone;
  position_ = looked_at_ = 0;
  run_first_ = group_ = run_last_ = 0;
  run_counters_ = run_traces_ = 0;
  if (plan_.table_bytes != 0) memset(plan_.table, 0, plan_.table_bytes);
  expected_sequence_ = sequence_ = 0;
  written_bytes_ = removed_snapshots_ = merged_counters_ = work_bytes_ = 0;
  header_crc_ = 0;
  has_header_ = false;
  window_bytes_ = collected_bytes_ = 0;
  window_offset_ = 0;
}

bool StreamThinner::fail(Failure failure) noexcept {
  failure_ = failure;
  return false;
}

bool StreamThinner::read_window(uint64_t offset) noexcept {
  window_offset_ = offset;
  window_bytes_ = 0;
  uint8_t* const window = window_ + EncoderScratch::kPrefixBytes;
  const int64_t bytes = files_.read_at(files_.context, offset, window, EncoderScratch::kBufferBytes);
  if (bytes < 0 || static_cast<uint64_t>(bytes) > EncoderScratch::kBufferBytes) return fail(Failure::kRead);
  window_bytes_ = static_cast<size_t>(bytes);
  return true;
}

// The message at `offset`, whole in the window.
StreamThinner::Loaded StreamThinner::load(uint64_t offset, bool verify, MessageFrame& frame) noexcept {
  for (const bool fresh : {false, true}) {
    if (fresh && !read_window(offset)) return Loaded::kFailed;
    if (offset < window_offset_ || offset - window_offset_ >= window_bytes_) continue;
    const size_t at = static_cast<size_t>(offset - window_offset_);
    const FrameCheck check = read_frame(window_ + EncoderScratch::kPrefixBytes + at, window_bytes_ - at, verify, frame);
    if (check == FrameCheck::kBad) break;
    if (check == FrameCheck::kCut) continue;
    work_bytes_ += frame.bytes;
    return Loaded::kMessage;
  }
  if (window_bytes_ == 0 && offset >= plan_.source_bytes) return Loaded::kEnd;
  (void)fail(Failure::kUnfit);
  return Loaded::kFailed;
}

// --- What is written

bool StreamThinner::send(uint8_t* content, size_t content_bytes, uint64_t content_field) noexcept {
  const uint8_t* const start = write_frame(content, content_bytes, content_field, sequence_);
  const size_t bytes = static_cast<size_t>(content + content_bytes + kFrameEndBytes - start);
  if (!files_.append(files_.context, start, bytes)) return fail(Failure::kWrite);
  ++sequence_;
  written_bytes_ += bytes;
  work_bytes_ += bytes;
  return true;
}

// In its place in the window: the frame around it is overwritten.
bool StreamThinner::copy_unchanged(const MessageFrame& frame) noexcept {
  return send(frame.content, frame.content_bytes, frame.content_field);
}

bool StreamThinner::send_collected() noexcept {
  if (collected_bytes_ == 0) return true;
  const size_t bytes = collected_bytes_;
  collected_bytes_ = 0;
  return send(collected(), bytes, kCountersField);
}

// A missing number is a message that was lost, and stays missing. One that repeats or goes back is none: that is how a
// second writer begins after a lost tail.
void StreamThinner::account_sequence(uint64_t sequence) noexcept {
  if (sequence < expected_sequence_) return;
  sequence_ += sequence - expected_sequence_;
  expected_sequence_ = sequence + 1;
}

// --- Kinds of messages

bool StreamThinner::copy_header(const MessageFrame& frame) noexcept {
  const uint32_t crc = crc32c(frame.content, frame.content_bytes);
  if (has_header_ && crc == header_crc_) return true;
  uint64_t version;
  if (!find_number(frame.content, frame.content + frame.content_bytes, kHeaderVersion, version) ||
      version > kStreamVersion) {
    return fail(Failure::kUnfit);
  }
  if (!has_header_) header_crc_ = crc;
  has_header_ = true;
  return copy_unchanged(frame);
}

bool StreamThinner::copy_end(const MessageFrame& frame) noexcept {
  uint8_t next;
  const int64_t bytes = files_.read_at(files_.context, position_ + frame.bytes, &next, 1);
  if (bytes < 0) return fail(Failure::kRead);
  return bytes != 0 || copy_unchanged(frame);
}

bool StreamThinner::copy_snapshot(const MessageFrame& frame) noexcept {
  if (removed_snapshots_ == 0) return copy_unchanged(frame);
  if (frame.content_bytes + 2 * (2 + kMaxVarintBytes) > kContentCapacity) return fail(Failure::kUnfit);
  FieldCopier copier{frame.content, frame.content + frame.content_bytes, collected()};
  if (!copier.add_to(kSnapshotChangedCounters, merged_counters_) ||
      !copier.add_to(kSnapshotThinned, removed_snapshots_) || !copier.copy_rest()) {
    return fail(Failure::kUnfit);
  }
  return send(collected(), static_cast<size_t>(copier.to - collected()), kSnapshotField);
}

// A Snapshot closes the group.
bool StreamThinner::end_group(const MessageFrame& frame) noexcept {
  if (phase_ == Phase::kMerge) {
    ++removed_snapshots_;
    if (++group_ == run_last_) phase_ = Phase::kKeep;
    return true;
  }
  if (!send_collected() || !copy_snapshot(frame)) return false;
  merged_counters_ = 0;
  if (phase_ == Phase::kRest) return true;
  looked_at_ = position_ + frame.bytes;
  begin_run();
  return true;
}

// Zero for those that the table has no room for.
uint16_t StreamThinner::last_group_of(uint64_t trace) const noexcept {
  uint16_t group = 0;
  if (trace >= plan_.table_bytes / sizeof group) return 0;
  memcpy(&group, static_cast<const char*>(plan_.table) + trace * sizeof group, sizeof group);
  return group;
}

bool StreamThinner::note_traces(const MessageFrame& frame) noexcept {
  const uint8_t* const end = frame.content + frame.content_bytes;
  const uint16_t group = static_cast<uint16_t>(group_);
  WireField item;
  for (const uint8_t* at = frame.content; at != end;) {
    uint64_t id;
    if (!read_field(at, end, item)) return fail(Failure::kUnfit);
    if (item.number != kCountersCounters || item.type != WireType::kBytes) continue;
    if (!find_number(item.data, item.end, kTraceId, id)) return fail(Failure::kUnfit);
    ++run_counters_;
    if (last_group_of(id) < run_first_) ++run_traces_;
    if (id >= plan_.table_bytes / sizeof group) continue;
    memcpy(static_cast<char*>(plan_.table) + id * sizeof group, &group, sizeof group);
  }
  return true;
}

// Whether a later group of the run has counters of the same trace.
bool StreamThinner::is_said_again(const WireField& counters, bool& again) noexcept {
  uint64_t id;
  if (!find_number(counters.data, counters.end, kTraceId, id)) return fail(Failure::kUnfit);
  again = last_group_of(id) > group_;
  return true;
}

bool StreamThinner::collect_counters(const MessageFrame& frame) noexcept {
  const uint8_t* const end = frame.content + frame.content_bytes;
  WireField item;
  for (const uint8_t* at = frame.content; at != end;) {
    if (!read_field(at, end, item)) return fail(Failure::kUnfit);
    if (phase_ == Phase::kMerge && item.number == kCountersCounters && item.type == WireType::kBytes) {
      bool again;
      if (!is_said_again(item, again)) return false;
      if (again) continue;
      ++merged_counters_;
    }
    if (item.bytes() > kContentCapacity) return fail(Failure::kUnfit);
    if (collected_bytes_ + item.bytes() > kContentCapacity && !send_collected()) return false;
    memcpy(collected() + collected_bytes_, item.start, item.bytes());
    collected_bytes_ += item.bytes();
  }
  return true;
}

bool StreamThinner::copy(const MessageFrame& frame) noexcept {
  if (!has_header_ && frame.content_field != kHeaderField) return fail(Failure::kUnfit);
  switch (frame.content_field) {
    case kHeaderField: return copy_header(frame);
    case kCountersField:
      return phase_ == Phase::kMerge || phase_ == Phase::kKeep ? collect_counters(frame) : copy_unchanged(frame);
    case kSnapshotField: return end_group(frame);
    case kEndField: return copy_end(frame);
    default: return copy_unchanged(frame);
  }
}

// --- Steps

// Numbers of groups grow from run to run, so that the table need not be cleared for each.
void StreamThinner::begin_run() noexcept {
  phase_ = Phase::kLook;
  group_ = run_last_ + 1;
  if (group_ > kMostGroups) {
    if (plan_.table_bytes != 0) memset(plan_.table, 0, plan_.table_bytes);
    group_ = 1;
  }
  run_first_ = group_;
  run_counters_ = run_traces_ = 0;
}

// A group was looked at to its end. Enough of the run is said again to be worth the loss of its other Snapshots?
void StreamThinner::note_group() noexcept {
  const uint32_t groups = group_ - run_first_ + 1;
  if (groups >= kMostGroupsOfRun || (groups >= 2 && 3 * run_traces_ <= 2 * run_counters_)) {
    phase_ = Phase::kMerge;
    run_last_ = group_;
    group_ = run_first_;
  } else {
    ++group_;
  }
}

// Looks at one message of what may be the next run.
bool StreamThinner::look_ahead() noexcept {
  MessageFrame frame;
  if (looked_at_ < plan_.thin_until) {
    if (load(looked_at_, false, frame) != Loaded::kMessage) return false;
    looked_at_ += frame.bytes;
    if (looked_at_ <= plan_.thin_until) return look_at(frame);
  }
  phase_ = Phase::kRest;
  return true;
}

bool StreamThinner::look_at(const MessageFrame& frame) noexcept {
  if (frame.content_field == kCountersField) return note_traces(frame);
  if (frame.content_field == kSnapshotField) note_group();
  return true;
}

// Writes one message, or takes it out.
StreamThinner::Loaded StreamThinner::move_on() noexcept {
  MessageFrame frame;
  const Loaded loaded = load(position_, true, frame);
  if (loaded != Loaded::kMessage) return loaded;
  account_sequence(frame.sequence);
  if (!copy(frame)) return Loaded::kFailed;
  position_ += frame.bytes;
  return Loaded::kMessage;
}

StreamThinner::Progress StreamThinner::step(uint64_t most_bytes) noexcept {
  work_bytes_ = 0;
  do {
    if (failure_ != Failure::kNone) return Progress::kFailed;
    if (phase_ == Phase::kLook) {
      (void)look_ahead();
    } else if (move_on() == Loaded::kEnd) {
      // Only what changed under our hands ends within a run that was whole before.
      if (phase_ == Phase::kFirst || phase_ == Phase::kRest) return Progress::kDone;
      (void)fail(Failure::kUnfit);
    }
  } while (work_bytes_ < most_bytes);
  return failure_ == Failure::kNone ? Progress::kMore : Progress::kFailed;
}

}  // namespace seep
