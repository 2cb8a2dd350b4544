// SPDX-License-Identifier: Apache-2.0
//
// What the encoder says of leak scans, read with plain libprotobuf: verdicts of traces, the scans, and the stacks that
// free.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "encoder_test.h"

namespace seep {
namespace {

// A leak scan as its verdicts come to the encoder.
class ScanEncoder : public Encoder {
 protected:
  ScanState& scan() { return region.get().header().scan; }

  // One of the two results, with room for the verdicts of so many traces; it does not stand yet.
  ScanResult& make_result(unsigned index, uint32_t capacity) {
    ScanResult& result = scan().results[index];
    result.capacity = capacity;
    result.verdicts = region.get().allocate(capacity * sizeof(TraceVerdicts));
    EXPECT_NE(result.verdicts, 0u);
    return result;
  }
  TraceVerdicts& verdicts(const ScanResult& result, Ref trace) {
    return region.get().at<TraceVerdicts>(result.verdicts)[region.get().at<Trace>(trace)->id - 1];
  }
  // What the last snapshot says of a trace; nothing if it says nothing.
  proto::TraceCounters counters_of(Ref trace) {
    proto::TraceCounters found;
    for (const auto& message : stream.messages()) {
      if (message.has_header()) found.Clear();
      for (const auto& counters : message.counters().counters()) {
        if (counters.trace_id() == region.get().at<Trace>(trace)->id) found = counters;
      }
    }
    return found;
  }
};

TEST_F(ScanEncoder, VerdictsComeBackWithTheirTraces) {
  const Ref first = allocate(1, 10), second = allocate(2, 20), third = allocate(3, 30), late = allocate(4, 40);
  ScanResult& result = make_result(1, 3);
  verdicts(result, first) = {{1, 2, 3, 4}, {10, 20, 30, 40}, 5, 50, 9, 9, 9, 9};
  verdicts(result, third).blocks[static_cast<unsigned>(VerdictClass::kReachable)] = ~uint64_t{0};
  scan().standing = 2;
  ASSERT_TRUE(encode());
  const proto::Verdicts said = counters_of(first).verdicts();
  EXPECT_EQ(said.definite_blocks(), 1u);
  EXPECT_EQ(said.definite_bytes(), 10u);
  EXPECT_EQ(said.indirect_blocks(), 2u);
  EXPECT_EQ(said.indirect_bytes(), 20u);
  EXPECT_EQ(said.possible_blocks(), 3u);
  EXPECT_EQ(said.possible_bytes(), 30u);
  EXPECT_EQ(said.reachable_blocks(), 4u);
  EXPECT_EQ(said.reachable_bytes(), 40u);
  EXPECT_EQ(said.held_blocks(), 5u);
  EXPECT_EQ(said.held_bytes(), 50u);
  EXPECT_FALSE(said.has_definite_estimate()) << "in an exact recording each block is known";
  EXPECT_FALSE(counters_of(second).has_verdicts()) << "no block of it was live";
  EXPECT_EQ(counters_of(third).verdicts().reachable_blocks(), ~uint64_t{0});
  EXPECT_EQ(counters_of(late).alloc_blocks(), 1u);
  EXPECT_FALSE(counters_of(late).has_verdicts()) << "it came after the scan";
}

TEST_F(ScanEncoder, AResultThatDoesNotStandIsNotSaid) {
  const Ref trace = allocate(1, 10);
  ScanResult& result = make_result(0, 1);
  verdicts(result, trace).blocks[0] = 1;
  result.facts.number = 1;
  ASSERT_TRUE(encode());
  EXPECT_FALSE(counters_of(trace).has_verdicts());
  EXPECT_FALSE(stream.messages().back().snapshot().has_scan());
  EXPECT_FALSE(stream.messages().back().snapshot().has_failed_scan());
}

// Though no block was allocated or freed between the scans.
TEST_F(ScanEncoder, WhatANewScanSaysIsSaidAndWhatItDoesNotSayIsWithdrawn) {
  const Ref changed = allocate(1, 10), same = allocate(2, 20), gone = allocate(3, 30);
  ScanResult& first = make_result(0, 3);
  for (const Ref trace : {changed, same, gone}) verdicts(first, trace).blocks[0] = 1;
  scan().standing = 1;
  ASSERT_TRUE(encode());
  ScanResult& second = make_result(1, 3);
  verdicts(second, changed).blocks[3] = 1;
  verdicts(second, same).blocks[0] = 1;
  scan().standing = 2;
  const size_t before = stream.messages().size();
  ASSERT_TRUE(encode());
  std::map<uint32_t, proto::TraceCounters> said;
  const auto messages = stream.messages();
  for (size_t i = before; i < messages.size(); ++i) {
    for (const auto& counters : messages[i].counters().counters()) said[counters.trace_id()] = counters;
  }
  const auto id = [this](Ref trace) { return region.get().at<Trace>(trace)->id; };
  ASSERT_EQ(said.size(), 2u);
  EXPECT_FALSE(said.contains(id(same)));
  EXPECT_EQ(said.at(id(changed)).verdicts().definite_blocks(), 0u);
  EXPECT_EQ(said.at(id(changed)).verdicts().reachable_blocks(), 1u);
  EXPECT_FALSE(said.at(id(gone)).has_verdicts());
  EXPECT_EQ(said.at(id(gone)).alloc_blocks(), 1u);
}

TEST_F(ScanEncoder, EveryFactOfAScanComesBack) {
  make_result(0, 0).facts = {.number = 7,
                             .trigger = ScanTrigger::kSignal,
                             .time_ns = 101,
                             .stop = ScanStop::kByPtrace,
                             .in_copy = 1,
                             .stopped_threads = 102,
                             .missed_threads = 103,
                             .timers_unread = 1,
                             .unknown_stacks = 104,
                             .pause_ns = 105,
                             .duration_ns = 106,
                             .searched_bytes = 107,
                             .unread_bytes = 108,
                             .overlapping_blocks = 109};
  scan().standing = 1;
  scan().failed = {.number = 8,
                   .trigger = ScanTrigger::kRequest,
                   .failure = ScanFailure::kCopyDied,
                   .stop = ScanStop::kBySignal,
                   .epoll_unread = 1,
                   .heap_as_roots = 0xFFFFFFFF};
  scan().has_failed = 1;
  ASSERT_TRUE(encode());
  const proto::Snapshot snapshot = stream.messages().back().snapshot();
  const proto::Scan& said = snapshot.scan();
  EXPECT_EQ(said.number(), 7u);
  EXPECT_EQ(said.trigger(), proto::Scan::SIGNAL);
  EXPECT_EQ(said.time_ns(), 101u);
  EXPECT_EQ(said.failure(), proto::Scan::NONE);
  EXPECT_EQ(said.stop(), proto::Scan::BY_PTRACE);
  EXPECT_TRUE(said.in_copy());
  EXPECT_EQ(said.stopped_threads(), 102u);
  EXPECT_EQ(said.missed_threads(), 103u);
  EXPECT_FALSE(said.epoll_unread());
  EXPECT_TRUE(said.timers_unread());
  EXPECT_FALSE(said.heap_as_roots());
  EXPECT_EQ(said.unknown_stacks(), 104u);
  EXPECT_EQ(said.pause_ns(), 105u);
  EXPECT_EQ(said.duration_ns(), 106u);
  EXPECT_EQ(said.searched_bytes(), 107u);
  EXPECT_EQ(said.unread_bytes(), 108u);
  EXPECT_EQ(said.overlapping_blocks(), 109u);
  EXPECT_EQ(said.default_suppressions(), "");
  const proto::Scan& failed = snapshot.failed_scan();
  EXPECT_EQ(failed.number(), 8u);
  EXPECT_EQ(failed.trigger(), proto::Scan::REQUEST);
  EXPECT_EQ(failed.failure(), proto::Scan::COPY_DIED);
  EXPECT_EQ(failed.stop(), proto::Scan::BY_SIGNAL);
  EXPECT_FALSE(failed.in_copy());
  EXPECT_TRUE(failed.epoll_unread());
  EXPECT_FALSE(failed.timers_unread());
  EXPECT_TRUE(failed.heap_as_roots());
}

// Any bytes, and as many as there is room for.
TEST_F(ScanEncoder, TheProgramsSuppressionsComeBackByteByByte) {
  std::string text = "leak:\xFF\xFE*\n";
  text.resize(sizeof(ScanState::default_suppressions) - 1, 'x');
  memcpy(scan().default_suppressions, text.c_str(), text.size() + 1);
  make_result(0, 0);
  scan().standing = 1;
  ASSERT_TRUE(encode());
  EXPECT_EQ(stream.messages().back().snapshot().scan().default_suppressions(), text);
}

TEST_F(ScanEncoder, TheStackThatFreesIsNamedAndItsFramesAreThere) {
  const Ref site = allocate(1, 10), never_freed = allocate(2, 20);
  const Frame frames[] = {make_frame(1, 500), make_frame(1, 600)};
  TraceTable table(region.get());
  const Ref freed_from = table.find_or_insert(frames, 2, Cut::kWhole, 0);
  const Ref other = table.find_or_insert(frames, 1, Cut::kWhole, 0);
  for (const Ref from : {freed_from, other, freed_from}) table.note_freeing(*region.get().at<Trace>(site), from);
  ASSERT_TRUE(encode());
  const proto::TraceCounters said = counters_of(site);
  EXPECT_EQ(said.freed_by_trace_id(), region.get().at<Trace>(freed_from)->id);
  EXPECT_EQ(said.frees_looked_at(), 3u);
  EXPECT_GE(said.frees_seen_there(), 1u);
  EXPECT_LE(said.frees_seen_there(), 2u);
  EXPECT_EQ(counters_of(never_freed).freed_by_trace_id(), 0u);
  std::map<uint32_t, unsigned> frames_of;
  for (const auto& message : stream.messages()) {
    for (const auto& trace : message.traces().traces()) {
      frames_of[trace.id()] = static_cast<unsigned>(trace.offsets_size()) + trace.shared_outer_frames();
    }
  }
  ASSERT_TRUE(frames_of.contains(said.freed_by_trace_id()));
  EXPECT_EQ(frames_of.at(said.freed_by_trace_id()), 2u);
}

// Whoever reads from outside would find no such trace.
TEST_F(ScanEncoder, AStackInPrivateMemoryIsNotNamed) {
  const Ref site = allocate(1, 10);
  RegionHeader& header = region.get().header();
  header.used_bytes = (header.used_bytes + 4095) & ~uint64_t{4095};
  header.private_from_bytes = header.used_bytes.load();
  const Ref freed_from = allocate(2, 20);
  ASSERT_NE(region.get().part_of(freed_from), 0u);
  TraceTable(region.get()).note_freeing(*region.get().at<Trace>(site), freed_from);
  ASSERT_TRUE(encode());
  EXPECT_EQ(counters_of(site).freed_by_trace_id(), 0u);
  EXPECT_EQ(counters_of(site).frees_looked_at(), 0u);
}

TEST(SampledScanEncoder, DefiniteSamplesSayWhatTheyStandFor) {
  TestRegion region(64 << 20, true);
  TraceTable table(region.get());
  const Frame frame = make_frame(1, 1);
  Trace& trace = *region.get().at<Trace>(table.find_or_insert(&frame, 1, Cut::kWhole, 0));
  const Weight weight = sample_weight(100, 512 << 10);
  count_allocation(*table.shard(trace, 0), 100, 0, &weight);
  ScanState& scan = region.get().header().scan;
  scan.results[0].capacity = 1;
  scan.results[0].verdicts = region.get().allocate(sizeof(TraceVerdicts));
  *region.get().at<TraceVerdicts>(scan.results[0].verdicts) = {
      {1, 0, 0, 0}, {100, 0, 0, 0}, 0, 0, weight.blocks, weight.bytes, weight.blocks_variance, weight.bytes_variance};
  scan.standing = 1;
  auto scratch = std::make_unique<EncoderScratch>();
  EncodedStream stream;
  ASSERT_TRUE(encode_snapshot(region.get(), *scratch, stream.sink(), SnapshotKind::kRequest, 1, nullptr));
  unsigned found = 0;
  for (const auto& message : stream.messages()) {
    for (const auto& counters : message.counters().counters()) {
      ++found;
      EXPECT_EQ(counters.verdicts().definite_blocks(), 1u);
      EXPECT_EQ(counters.verdicts().definite_bytes(), 100u);
      const proto::WeightedSum& estimate = counters.verdicts().definite_estimate();
      EXPECT_DOUBLE_EQ(estimate.blocks(), weight.blocks);
      EXPECT_DOUBLE_EQ(estimate.bytes(), weight.bytes);
      EXPECT_FLOAT_EQ(estimate.blocks_variance(), static_cast<float>(weight.blocks_variance));
      EXPECT_FLOAT_EQ(estimate.bytes_variance(), static_cast<float>(weight.bytes_variance));
    }
  }
  EXPECT_EQ(found, 1u);
}

}  // namespace
}  // namespace seep
