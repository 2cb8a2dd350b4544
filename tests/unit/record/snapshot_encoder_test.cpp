// SPDX-License-Identifier: Apache-2.0
#include "record/snapshot_encoder.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "encoded_stream.h"
#include "encoder_test.h"
#include "record/crc32c.h"
#include "record/module_table.h"
#include "record/short_number.h"
#include "record/trace_table.h"
#include "test_region.h"

namespace seep {
namespace {

TEST_F(Encoder, EveryMessageBeginsWithTheSyncConstantAndEndsWithItsCrc) {
  allocate(1, 10);
  ASSERT_TRUE(encode());
  size_t at = 0, messages = 0;
  while (at < stream.bytes.size()) {
    size_t length = 0;
    for (int shift = 0;; shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(stream.bytes[at++]);
      length |= size_t{byte & 0x7Fu} << shift;
      if (!(byte & 0x80)) break;
    }
    ASSERT_EQ(stream.bytes[at], 0x09);
    uint64_t sync;
    memcpy(&sync, stream.bytes.data() + at + 1, 8);
    EXPECT_EQ(sync, 0xF5A7C35EEB1EA4D7u);
    ASSERT_EQ(static_cast<uint8_t>(stream.bytes[at + length - 5]), 0x7D);
    uint32_t crc;
    memcpy(&crc, stream.bytes.data() + at + length - 4, 4);
    EXPECT_EQ(crc, crc32c(stream.bytes.data() + at, length - 5));
    at += length;
    ++messages;
  }
  EXPECT_EQ(messages, stream.messages().size());
}

TEST_F(Encoder, SequenceNumbersHaveNoGap) {
  allocate(1, 10);
  ASSERT_TRUE(encode());
  allocate(2, 10);
  const EndFacts end{EndHow::kExit, true, 3, 0, 9};
  ASSERT_TRUE(encode(SnapshotKind::kExit, &end));
  uint64_t expected = 0;
  for (const auto& message : stream.messages()) EXPECT_EQ(message.sequence(), expected++);
  EXPECT_EQ(stream.messages().back().end().exit_status(), 3);
}

TEST_F(Encoder, TheHeaderSaysWhoItIs) {
  Identity& identity = region.get().header().identity;
  memset(identity.recording_id, 7, 16);
  identity.pid = 4711;
  strcpy(identity.executable, "/usr/bin/x");
  memcpy(identity.command, "x\0-v\0\0", 6);
  identity.command_bytes = 6;
  identity.not_observed_reason = 1;
  strcpy(identity.not_observed_detail, "because");
  ASSERT_TRUE(encode());
  const proto::Header header = stream.messages().at(0).header();
  EXPECT_EQ(header.version(), 2u);
  EXPECT_EQ(header.recording_id(), std::string(16, 7));
  EXPECT_EQ(header.parent_recording_id(), "");
  EXPECT_EQ(header.pid(), 4711u);
  ASSERT_EQ(header.command_size(), 3);
  EXPECT_EQ(header.command(1), "-v");
  EXPECT_EQ(header.command(2), "");
  EXPECT_EQ(header.sample_bytes(), 1u);
  EXPECT_EQ(header.not_observed().reason(), proto::NotObserved::NOT_INTERPOSED);
  EXPECT_EQ(header.not_observed().detail(), "because");
}

// Frames come back as they went in, whatever outer frames neighbours share and wherever a message is cut.
TEST_F(Encoder, TracesComeBackFrameByFrame) {
  std::map<uint32_t, std::vector<Frame>> truth;
  for (uint64_t i = 0; i < 2000; ++i) {
    const Ref ref = allocate(i * 100'000, i, static_cast<uint32_t>(1 + i % 90));
    Trace& trace = *region.get().at<Trace>(ref);
    const Frame* frames = trace.frames(region.get().header());
    truth[trace.id] = std::vector<Frame>(frames, frames + trace.frame_count);
  }
  ASSERT_TRUE(encode());
  std::map<uint32_t, std::vector<Frame>> read;
  unsigned messages = 0;
  for (const auto& message : stream.messages()) {
    messages += message.has_traces();
    std::vector<Frame> previous;
    for (const auto& trace : message.traces().traces()) {
      std::vector<Frame> frames;
      ASSERT_EQ(trace.modules_size(), trace.offsets_size());
      for (int i = 0; i < trace.modules_size(); ++i) frames.push_back(make_frame(trace.modules(i), trace.offsets(i)));
      ASSERT_LE(trace.shared_outer_frames(), previous.size());
      frames.insert(frames.end(), previous.end() - trace.shared_outer_frames(), previous.end());
      read[trace.id()] = previous = frames;
    }
  }
  EXPECT_EQ(read, truth);
  EXPECT_GT(messages, 1u);
}

TEST_F(Encoder, ASnapshotHoldsOnlyWhatChangedButItsTotalsHoldAll) {
  const Ref first = allocate(1, 10);
  allocate(2, 20);
  ASSERT_TRUE(encode());
  const size_t before = stream.messages().size();
  TraceTable table(region.get());
  count_free(*table.shard(*region.get().at<Trace>(first), 3), 10, 0, 0, false, nullptr);
  ASSERT_TRUE(encode());
  const auto messages = stream.messages();
  ASSERT_EQ(messages.size(), before + 2);
  ASSERT_EQ(messages[before].counters().counters_size(), 1);
  const auto& counters = messages[before].counters().counters(0);
  EXPECT_EQ(counters.trace_id(), region.get().at<Trace>(first)->id);
  EXPECT_EQ(counters.alloc_blocks(), 1u);
  EXPECT_EQ(counters.free_blocks(), 1u);
  const auto& snapshot = messages[before + 1].snapshot();
  EXPECT_EQ(snapshot.number(), 2u);
  EXPECT_EQ(snapshot.changed_counters(), 1u);
  EXPECT_EQ(snapshot.traces(), 2u);
  EXPECT_EQ(snapshot.alloc_bytes(), 30u);
  EXPECT_EQ(snapshot.free_bytes(), 10u);
}

TEST_F(Encoder, AfterAFailedWriteEverythingIsSaidAgain) {
  allocate(1, 10);
  stream.refuse_after = 100;
  EXPECT_FALSE(encode());
  stream.refuse_after = SIZE_MAX;
  stream.bytes.clear();  // What a reader would skip.
  ASSERT_TRUE(encode());
  const auto messages = stream.messages();
  EXPECT_TRUE(messages.front().has_header());
  EXPECT_EQ(messages.back().snapshot().changed_counters(), 1u);
  unsigned traces = 0;
  for (const auto& message : messages) traces += static_cast<unsigned>(message.traces().traces_size());
  EXPECT_EQ(traces, 1u);
}

TEST_F(Encoder, ModulesAndThreadNamesAreSaidOnce) {
  const uint8_t build_id[] = {0xAB, 0xCD};
  ASSERT_EQ(add_module(region.get(), {0x10, 0x1000, 0x2000, build_id, 2, "/lib/a.so"}, 5, 6), 1u);
  const char name[kThreadNameBytes] = "worker";
  ASSERT_NE(find_or_add_thread_name(region.get(), name), 0);
  allocate(1, 1);
  ASSERT_TRUE(encode());
  ASSERT_EQ(add_module(region.get(), {0x10, 0x9000, 0x2000, build_id, 2, "/lib/b.so"}, 5, 6), 2u);
  ASSERT_TRUE(encode());
  std::vector<std::string> paths, names;
  for (const auto& message : stream.messages()) {
    for (const auto& module : message.modules().modules()) paths.push_back(module.path());
    for (const auto& thread : message.counters().thread_names()) names.push_back(thread.name());
  }
  EXPECT_EQ(paths, (std::vector<std::string>{"/lib/a.so", "/lib/b.so"}));
  EXPECT_EQ(names, std::vector<std::string>{"worker"});
  EXPECT_EQ(stream.messages().at(1).modules().modules(0).build_id(), "\xAB\xCD");
}

// Entries in private memory are encoded with the others, in the process.
TEST_F(Encoder, BothPartsOfTheRegionAreWritten) {
  allocate(1, 10);
  ASSERT_NE(add_module(region.get(), {0, 0x1000, 0x1000, nullptr, 0, "/lib/shared.so"}, 0, 0), 0u);
  RegionHeader& header = region.get().header();
  header.used_bytes = (header.used_bytes + 4095) & ~uint64_t{4095};
  header.private_from_bytes = header.used_bytes.load();
  allocate(2, 20);
  ASSERT_NE(add_module(region.get(), {0, 0x9000, 0x1000, nullptr, 0, "/lib/private.so"}, 0, 0), 0u);
  ASSERT_NE(header.newest[0].trace.load(), 0u);
  ASSERT_NE(header.newest[1].trace.load(), 0u);
  ASSERT_TRUE(encode());
  const auto messages = stream.messages();
  EXPECT_EQ(messages.back().snapshot().traces(), 2u);
  EXPECT_EQ(messages.back().snapshot().alloc_bytes(), 30u);
  int modules = 0;
  for (const auto& message : messages) modules += message.modules().modules_size();
  EXPECT_EQ(modules, 2);
  stream.bytes.clear();
  ASSERT_TRUE(encode());  // Nothing of either part is said again.
  EXPECT_EQ(stream.messages().size(), 1u);
}

// Of what is live the ages are left out between snapshots that may be the last; these say them, though no count changed.
TEST_F(Encoder, AgesOfWhatIsLiveAreSaidAtTheEnd) {
  const Ref all_freed = allocate(1, 10), some_live = allocate(2, 20);
  TraceTable table(region.get());
  count_free(*table.shard(*region.get().at<Trace>(all_freed), 0), 10, 0, 0, true, nullptr);
  allocate(2, 20);
  count_free(*table.shard(*region.get().at<Trace>(some_live), 0), 20, 0, 0, true, nullptr);
  ASSERT_TRUE(encode());
  const auto between = stream.counters();
  ASSERT_EQ(between.size(), 2u);
  EXPECT_EQ(between.at(region.get().at<Trace>(all_freed)->id).temporary_blocks(), 1u);
  EXPECT_EQ(between.at(region.get().at<Trace>(all_freed)->id).lifetime_blocks_size(), 1);
  EXPECT_EQ(between.at(region.get().at<Trace>(some_live)->id).temporary_blocks(), 0u);
  EXPECT_EQ(between.at(region.get().at<Trace>(some_live)->id).lifetime_blocks_size(), 0);
  EXPECT_EQ(between.at(region.get().at<Trace>(some_live)->id).free_blocks(), 1u);
  stream.bytes.clear();
  ASSERT_TRUE(encode(SnapshotKind::kExit));
  const auto last = stream.counters();
  ASSERT_EQ(last.size(), 1u);
  const proto::TraceCounters& counters = last.at(region.get().at<Trace>(some_live)->id);
  EXPECT_EQ(counters.temporary_blocks(), 1u);
  EXPECT_EQ(counters.lifetime_blocks(0), 1u);
  EXPECT_EQ(counters.live_blocks_by_birth(0), 1u);
  EXPECT_EQ(counters.live_bytes_by_birth(0), 20u);
}

class SampledEncoder : public testing::Test {
 protected:
  // The only trace's counters in a snapshot of this kind.
  proto::TraceCounters encode(SnapshotKind kind) {
    EncodedStream stream;
    EXPECT_TRUE(encode_snapshot(region.get(), *scratch, stream.sink(), kind, 1, nullptr));
    const auto counters = stream.counters();
    return counters.size() == 1 ? counters.begin()->second : proto::TraceCounters();
  }
  CounterBlock& shard(unsigned index) { return *table.shard(trace, index); }

  static constexpr uint64_t kSampleBytes = 512 << 10, kLargeBytes = 1 << 20;
  TestRegion region{64 << 20, true};
  TraceTable table{region.get()};
  const Frame frame = make_frame(1, 1);
  Trace& trace = *region.get().at<Trace>(table.find_or_insert(&frame, 1, Cut::kWhole, 0));
  const Weight small = sample_weight(100, kSampleBytes), large = sample_weight(kLargeBytes, kSampleBytes);
  std::unique_ptr<EncoderScratch> scratch = std::make_unique<EncoderScratch>();
};

TEST_F(SampledEncoder, EstimatesAreSumsOverShardsAndLiveIsTheirDifference) {
  count_allocation(shard(0), 100, 0, &small);
  count_allocation(shard(1), kLargeBytes, 0, &large);
  count_free(shard(2), 100, 0, 0, true, &small);
  const proto::TraceCounters counters = encode(SnapshotKind::kExit);
  EXPECT_DOUBLE_EQ(counters.alloc_estimate().bytes(), small.bytes + large.bytes);
  EXPECT_NEAR(counters.live_estimate().blocks(), large.blocks, 1e-9);
  EXPECT_NEAR(counters.live_estimate().bytes_variance(), large.bytes_variance, large.bytes_variance * 1e-3);
  EXPECT_DOUBLE_EQ(counters.temporary_estimate().blocks(), small.blocks);
  EXPECT_EQ(counters.short_estimates_size(), 0);
}

TEST_F(SampledEncoder, BetweenOthersEstimatesAreShort) {
  count_allocation(shard(0), 100, 0, &small);
  count_allocation(shard(0), kLargeBytes, 0, &large);
  count_free(shard(0), 100, 0, 0, true, &small);
  const proto::TraceCounters counters = encode(SnapshotKind::kInterval);
  EXPECT_FALSE(counters.has_alloc_estimate() || counters.has_live_estimate() || counters.has_temporary_estimate());
  ASSERT_EQ(counters.short_estimates_size(), 8);  // What was temporary is said at the end.
  const auto number = [&](int index, unsigned digits) {
    return value_of_short_number(counters.short_estimates(index), digits);
  };
  const auto expect_near = [](double value, double truth, double share) { EXPECT_NEAR(value, truth, truth * share); };
  expect_near(number(0, kEstimateDigits), small.blocks + large.blocks, 0x1p-15);
  expect_near(number(1, kEstimateDigits), small.bytes + large.bytes, 0x1p-15);
  expect_near(number(2, kVarianceDigits), small.blocks_variance + large.blocks_variance, 0x1p-7);
  expect_near(number(3, kVarianceDigits), small.bytes_variance + large.bytes_variance, 0x1p-7);
  expect_near(number(4, kEstimateDigits), large.blocks, 0x1p-15);
  expect_near(number(5, kEstimateDigits), large.bytes, 0x1p-15);
  expect_near(number(6, kVarianceDigits), large.blocks_variance, 0x1p-7);
  expect_near(number(7, kVarianceDigits), large.bytes_variance, 0x1p-7);
}

TEST_F(SampledEncoder, WhatWasTemporaryIsSaidWhereNothingIsLive) {
  count_allocation(shard(0), 100, 0, &small);
  count_free(shard(0), 100, 0, 0, true, &small);
  const proto::TraceCounters counters = encode(SnapshotKind::kInterval);
  EXPECT_EQ(counters.temporary_blocks(), 1u);
  ASSERT_EQ(counters.short_estimates_size(), 10);
  EXPECT_EQ(counters.short_estimates(4), 0u);
  EXPECT_EQ(counters.short_estimates(8), counters.short_estimates(0));
}

}  // namespace
}  // namespace seep
