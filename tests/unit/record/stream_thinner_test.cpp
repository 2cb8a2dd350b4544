// SPDX-License-Identifier: Apache-2.0
//
// Streams that the real encoder wrote about random programs, thinned. The truth is what libprotobuf reads out of the
// stream as it was: behind each Snapshot that stays, a reader must know the same afterwards.
#include "record/stream_thinner.h"

#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "encoded_stream.h"
#include "random_program.h"
#include "record/snapshot_encoder.h"
#include "seep.pb.h"

namespace seep {
namespace {

// All that a reader knows at some point of a stream, each thing in its own bytes.
struct Knowledge {
  std::map<uint32_t, std::string> modules, traces, thread_names, counters;
  bool operator==(const Knowledge&) const = default;

  void learn(const proto::Message& message) {
    for (const auto& module : message.modules().modules()) modules[module.id()] = module.SerializeAsString();
    for (const auto& name : message.counters().thread_names()) thread_names[name.id()] = name.SerializeAsString();
    for (const auto& item : message.counters().counters()) counters[item.trace_id()] = item.SerializeAsString();
    std::vector<std::string> previous;  // Frames, innermost first.
    for (const auto& trace : message.traces().traces()) {
      std::vector<std::string> frames;
      for (int i = 0; i < trace.modules_size(); ++i) {
        frames.push_back(std::to_string(trace.modules(i)) + "+" + std::to_string(trace.offsets(i)));
      }
      ASSERT_LE(trace.shared_outer_frames(), previous.size());
      frames.insert(frames.end(), previous.end() - trace.shared_outer_frames(), previous.end());
      std::string& text = traces[trace.id()];
      text = std::to_string(trace.cut()) + " " + std::to_string(trace.first_allocated_ns());
      for (const std::string& frame : frames) text += " " + frame;
      previous = frames;
    }
  }
};

struct KnownAt {
  std::string snapshot;  // Without the two fields that thinning changes.
  Knowledge knowledge;
  bool operator==(const KnownAt&) const = default;
};

// What is known behind each Snapshot, by its number; and whether what a Snapshot counts is there.
struct Told {
  std::map<uint32_t, KnownAt> at;
  std::vector<uint64_t> thinned;  // Snapshot.thinned_snapshots, of one after the other.
  uint64_t lost_messages = 0;
  unsigned headers = 0, ends = 0;
  bool ends_with_end = false;
};

Told told_by(const std::string& bytes) {
  Told told;
  Knowledge knowledge;
  uint64_t expected_sequence = 0, counters_in_group = 0;
  for (const proto::Message& message : messages_of(bytes)) {
    EXPECT_GE(message.sequence(), expected_sequence);
    told.lost_messages += message.sequence() - expected_sequence;
    expected_sequence = message.sequence() + 1;
    knowledge.learn(message);
    counters_in_group += static_cast<uint64_t>(message.counters().counters_size());
    told.headers += message.has_header();
    told.ends += message.has_end();
    told.ends_with_end = message.has_end();
    if (!message.has_snapshot()) continue;
    proto::Snapshot snapshot = message.snapshot();
    EXPECT_EQ(snapshot.changed_counters(), counters_in_group);
    counters_in_group = 0;
    told.thinned.push_back(snapshot.thinned_snapshots());
    snapshot.clear_changed_counters();
    snapshot.clear_thinned_snapshots();
    told.at[snapshot.number()] = {snapshot.SerializeAsString(), knowledge};
  }
  return told;
}

// The stream as it was before and after, and what may be done to the thinner meanwhile.
struct Files {
  std::string source, result;
  size_t refuse_after = SIZE_MAX;
  bool unreadable = false;

  ThinningFiles callbacks() {
    return {[](void* context, uint64_t offset, void* into, size_t bytes) -> int64_t {
              const Files& files = *static_cast<Files*>(context);
              if (files.unreadable) return -1;
              if (offset >= files.source.size()) return 0;
              return static_cast<int64_t>(files.source.copy(static_cast<char*>(into), bytes, offset));
            },
            [](void* context, const void* data, size_t bytes) {
              Files& files = *static_cast<Files*>(context);
              if (files.result.size() + bytes > files.refuse_after) return false;
              files.result.append(static_cast<const char*>(data), bytes);
              return true;
            },
            this};
  }
};

class Thinning {
 public:
  explicit Thinning(const std::string& source, uint64_t thin_until = UINT64_MAX, uint64_t traces = 10'000)
      : table_(StreamThinner::table_bytes(traces)) {
    files.source = source;
    thinner->begin(files.callbacks(), {source.size(), thin_until, table_.data(), table_.size()});
  }

  StreamThinner::Progress finish(uint64_t slice_bytes = UINT64_MAX) {
    StreamThinner::Progress progress;
    do {
      progress = thinner->step(slice_bytes);
    } while (progress == StreamThinner::Progress::kMore);
    return progress;
  }
  bool succeeds(uint64_t slice_bytes = UINT64_MAX) { return finish(slice_bytes) == StreamThinner::Progress::kDone; }

  Files files;
  std::unique_ptr<StreamThinner> thinner = std::make_unique<StreamThinner>();

 private:
  std::vector<uint8_t> table_;
};

std::string thinned(const std::string& source, uint64_t thin_until = UINT64_MAX) {
  Thinning thinning(source, thin_until);
  EXPECT_TRUE(thinning.succeeds());
  EXPECT_EQ(thinning.thinner->written_bytes(), thinning.files.result.size());
  return thinning.files.result;
}

// Behind each Snapshot of `after`, what was known there in `before`.
void expect_same_knowledge(const Told& before, const Told& after) {
  for (const auto& [number, known] : after.at) {
    ASSERT_TRUE(before.at.contains(number));
    EXPECT_TRUE(known == before.at.at(number)) << "snapshot " << number;
  }
}

std::vector<uint32_t> numbers_of(const Told& told) {
  std::vector<uint32_t> numbers;
  for (const auto& [number, known] : told.at) numbers.push_back(number);
  return numbers;
}

// Each Snapshot that is left says how many before it are not.
void expect_thinned_counted(const Told& told) {
  const std::vector<uint32_t> numbers = numbers_of(told);
  ASSERT_EQ(numbers.size(), told.thinned.size());
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(told.thinned[i], numbers[i] - 1 - i);
}

// The rule, from what libprotobuf reads: behind the first group, runs of at least two in which no more than two thirds
// of the counters are of traces that the run has not named before. Of each the last stays, and what is in no whole run.
std::vector<uint32_t> numbers_that_stay(const std::string& bytes, size_t groups) {
  std::vector<uint32_t> numbers, run;
  std::set<uint32_t> traces;
  size_t counters = 0, group = 0;
  for (const proto::Message& message : messages_of(bytes)) {
    for (const auto& item : message.counters().counters()) traces.insert(item.trace_id());
    counters += static_cast<size_t>(message.counters().counters_size());
    if (!message.has_snapshot()) continue;
    run.push_back(message.snapshot().number());
    ++group;
    const bool whole_run = group <= groups && run.size() >= 2 && 3 * traces.size() <= 2 * counters;
    if (group != 1 && !whole_run) continue;
    numbers.push_back(run.back());
    run.clear();
    traces.clear();
    counters = 0;
  }
  numbers.insert(numbers.end(), run.begin(), run.end());
  return numbers;
}

TEST(StreamThinner, OfEachRunTheLastSnapshotStaysAndSaysWhatItSaid) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    RandomProgram program(seed, seed % 2 == 1);
    program.snapshots(40 + seed % 2);
    const Told before = told_by(program.stream), after = told_by(thinned(program.stream));
    expect_same_knowledge(before, after);
    expect_thinned_counted(after);
    EXPECT_EQ(after.lost_messages, 0u);
    const std::vector<uint32_t> expected = numbers_that_stay(program.stream, program.ends.size());
    ASSERT_LT(expected.size(), before.at.size());
    EXPECT_EQ(numbers_of(after), expected);
  }
}

TEST(StreamThinner, NothingThatEndsBehindTheGivenPlaceGoes) {
  RandomProgram program(1);
  program.snapshots(30);
  const Told before = told_by(program.stream);
  for (size_t groups = 0; groups <= 30; ++groups) {
    for (const size_t beyond : {0u, 1u}) {
      const uint64_t until = (groups == 0 ? 0 : program.ends[groups - 1]) + beyond;
      const Told after = told_by(thinned(program.stream, until));
      expect_same_knowledge(before, after);
      EXPECT_EQ(numbers_of(after), numbers_that_stay(program.stream, groups));
    }
  }
}

TEST(StreamThinner, WithNothingToTakeOutTheBytesAreTheSame) {
  RandomProgram program(2);
  program.snapshots(10);
  EXPECT_EQ(thinned(program.stream, 0), program.stream);
  EXPECT_EQ(thinned(program.stream.substr(0, program.ends[1])), program.stream.substr(0, program.ends[1]));
}

TEST(StreamThinner, PassAfterPassWhileTheProgramGoesOn) {
  RandomProgram program(3), truth(3);
  program.snapshots(20);
  truth.snapshots(20);
  for (int pass = 0; pass < 12; ++pass) {
    Thinning thinning(program.stream, program.stream.size() * 3 / 4);
    ASSERT_TRUE(thinning.succeeds());
    EXPECT_LE(thinning.files.result.size(), program.stream.size());
    program.stream = thinning.files.result;
    program.header().progress.sequence = thinning.thinner->next_sequence();
    program.header().stream.now.thinned_snapshots += thinning.thinner->removed_snapshots();
    program.snapshots(10);
    truth.snapshots(10);
    const Told after = told_by(program.stream);
    expect_same_knowledge(told_by(truth.stream), after);
    expect_thinned_counted(after);
    EXPECT_EQ(after.lost_messages, 0u);
    EXPECT_EQ(numbers_of(after).front(), 1u);
    EXPECT_EQ(numbers_of(after).back(), 30u + 10 * static_cast<unsigned>(pass));
  }
  EXPECT_LT(program.stream.size(), truth.stream.size() * 3 / 4);
}

TEST(StreamThinner, SlicesOfAnySizeGiveTheSame) {
  RandomProgram program(4);
  program.snapshots(30);
  const std::string whole = thinned(program.stream, program.stream.size() * 3 / 4);
  for (const uint64_t slice_bytes : {0u, 1u, 1000u, 5000u, 100'000u}) {
    Thinning thinning(program.stream, program.stream.size() * 3 / 4);
    EXPECT_TRUE(thinning.succeeds(slice_bytes));
    EXPECT_EQ(thinning.files.result, whole) << slice_bytes;
  }
}

TEST(StreamThinner, ASliceIsBounded) {
  RandomProgram program(5);
  program.snapshots(200);
  Thinning thinning(program.stream);
  unsigned steps = 0;
  size_t written_before = 0;
  while (thinning.thinner->step(4096) == StreamThinner::Progress::kMore) {
    EXPECT_LE(thinning.files.result.size() - written_before, 4096u + (200u << 10));
    written_before = thinning.files.result.size();
    ++steps;
  }
  EXPECT_GT(steps, program.stream.size() / 4096);
}

TEST(StreamThinner, ASourceThatGrowsMeanwhileIsCopiedToItsEnd) {
  for (const uint64_t slice_bytes : {0u, 3000u, 20'000u}) {
    RandomProgram program(6);
    program.snapshots(20);
    const size_t removed = 20 - numbers_that_stay(program.stream, 20).size();
    Thinning thinning(program.stream);
    StreamThinner::Progress progress = StreamThinner::Progress::kMore;
    for (int round = 0; round < 20; ++round) {
      progress = thinning.thinner->step(slice_bytes);
      ASSERT_NE(progress, StreamThinner::Progress::kFailed);
      program.snapshot();
      thinning.files.source = program.stream;
    }
    ASSERT_TRUE(thinning.succeeds(slice_bytes));
    const Told before = told_by(program.stream), after = told_by(thinning.files.result);
    expect_same_knowledge(before, after);
    expect_thinned_counted(after);
    EXPECT_EQ(after.lost_messages, 0u);
    EXPECT_EQ(after.at.size(), 40 - removed);
    EXPECT_EQ(thinning.thinner->removed_snapshots(), removed);
  }
}

// Each second others of many traces change: neighbours share nothing, and yet a pass must be worth its while.
TEST(StreamThinner, SavesAThirdAlsoWhereNeighboursHaveNothingInCommon) {
  TestRegion region(64 << 20);
  TraceTable table(region.get());
  const auto scratch = std::make_unique<EncoderScratch>();
  EncodedStream stream;
  for (uint64_t second = 0; second < 2000; ++second) {
    for (uint64_t i = 0; i < 10; ++i) {
      const Frame frame = make_frame(1, (second * 10 + i) % 300);
      Trace& trace = *region.get().at<Trace>(table.find_or_insert(&frame, 1, Cut::kWhole, second));
      count_allocation(*table.shard(trace, 0), 8, 0, nullptr);
    }
    ASSERT_TRUE(encode_snapshot(region.get(), *scratch, stream.sink(), SnapshotKind::kInterval, second, nullptr));
  }
  const std::string once = thinned(stream.bytes);
  EXPECT_LT(once.size(), stream.bytes.size() * 2 / 3);
  EXPECT_LT(thinned(once).size(), once.size() * 2 / 3);
  expect_same_knowledge(told_by(stream.bytes), told_by(thinned(once)));
}

TEST(StreamThinner, WithTooSmallABitmapLessIsSavedAndNothingLost) {
  RandomProgram program(7);
  program.snapshots(40);
  const Told before = told_by(program.stream);
  size_t previous = thinned(program.stream).size();
  for (const uint64_t traces : {40u, 0u}) {
    Thinning thinning(program.stream, UINT64_MAX, traces);
    ASSERT_TRUE(thinning.succeeds());
    EXPECT_GT(thinning.files.result.size(), previous);
    previous = thinning.files.result.size();
    expect_same_knowledge(before, told_by(thinning.files.result));
  }
}

TEST(StreamThinner, AnEndThatDidNotTakePlaceAndARepeatedHeaderAreDropped) {
  RandomProgram program(8);
  const EndFacts exec{EndHow::kExec, false, 0, 0, 5};
  for (int i = 0; i < 20; ++i) program.snapshot(i % 3 == 0 ? &exec : nullptr);
  program.header().progress.write_everything = 1;
  program.snapshots(4);
  program.snapshot(&exec);
  const Told before = told_by(program.stream);
  ASSERT_EQ(before.headers, 2u);
  ASSERT_GT(before.ends, 1u);
  for (const uint64_t until : {uint64_t{0}, UINT64_MAX}) {
    const Told after = told_by(thinned(program.stream, until));
    expect_same_knowledge(before, after);
    EXPECT_EQ(after.headers, 1u);
    EXPECT_EQ(after.ends, 1u);
    EXPECT_TRUE(after.ends_with_end);
    EXPECT_EQ(after.lost_messages, 0u);
  }
}

// Snapshots that could not be written whole leave their first messages, and everything is said again behind them.
TEST(StreamThinner, GroupsThatWereBegunTwiceAreOne) {
  RandomProgram program(9);
  program.snapshots(5);
  for (int i = 0; i < 6; ++i) {
    program.refuse_after = program.stream.size() + 400;
    program.snapshot();
    ASSERT_FALSE(program.written());
    program.refuse_after = SIZE_MAX;
    program.snapshots(3);
  }
  Thinning thinning(program.stream);
  ASSERT_TRUE(thinning.succeeds());
  Knowledge before, after;
  for (const auto& message : messages_of(program.stream)) before.learn(message);
  for (const auto& message : messages_of(thinning.files.result)) after.learn(message);
  EXPECT_TRUE(before == after);
}

TEST(StreamThinner, WhatIsMissingStaysMissing) {
  RandomProgram program(10);
  program.snapshots(6);
  const std::string first = program.stream;
  program.snapshots(1);
  const size_t lost_until = program.stream.size();
  program.snapshots(10);
  const std::string source = first + program.stream.substr(lost_until);
  const auto missing = messages_of(program.stream).size() - messages_of(source).size();
  ASSERT_GT(missing, 0u);
  EXPECT_EQ(told_by(thinned(source)).lost_messages, missing);
}

TEST(StreamThinner, RefusesEveryFlippedByte) {
  RandomProgram program(11);
  program.snapshots(7);
  std::mt19937 random(11);
  for (size_t at = 0; at < program.stream.size(); at += 1 + random() % 7) {
    std::string damaged = program.stream;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random() % 8));
    Thinning thinning(damaged);
    ASSERT_EQ(thinning.finish(), StreamThinner::Progress::kFailed) << at;
    EXPECT_EQ(thinning.thinner->failure(), StreamThinner::Failure::kUnfit);
    EXPECT_EQ(thinning.thinner->step(1), StreamThinner::Progress::kFailed);
  }
}

TEST(StreamThinner, RefusesEveryCutInsideAMessage) {
  RandomProgram program(12);
  program.snapshots(4);
  for (size_t length = 0; length < program.stream.size(); ++length) {
    const std::string cut = program.stream.substr(0, length);
    Thinning shorter_than_said(program.stream);
    shorter_than_said.files.source = cut;
    ASSERT_FALSE(shorter_than_said.succeeds()) << length;
    Thinning as_it_is(cut);
    google::protobuf::io::ArrayInputStream input(cut.data(), static_cast<int>(length));
    proto::Message message;
    bool whole = false;
    while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&message, &input, &whole)) {
    }
    ASSERT_EQ(as_it_is.succeeds(), whole) << length;
  }
}

TEST(StreamThinner, SurvivesNoise) {
  RandomProgram program(13);
  program.snapshots(9);
  std::mt19937 random(13);
  for (int round = 0; round < 3000; ++round) {
    std::string noise = program.stream;
    for (int i = 0; i < 3; ++i) noise[random() % noise.size()] = static_cast<char>(random());
    Thinning thinning(noise);
    (void)thinning.finish();
  }
}

TEST(StreamThinner, FailuresOfItsFilesAreItsOwn) {
  RandomProgram program(14);
  program.snapshots(20);
  const size_t size = thinned(program.stream).size();
  for (size_t room = 0; room < size; room += 100) {
    Thinning thinning(program.stream);
    thinning.files.refuse_after = room;
    ASSERT_FALSE(thinning.succeeds());
    EXPECT_EQ(thinning.thinner->failure(), StreamThinner::Failure::kWrite);
  }
  Thinning thinning(program.stream);
  ASSERT_EQ(thinning.thinner->step(30'000), StreamThinner::Progress::kMore);
  thinning.files.unreadable = true;
  ASSERT_FALSE(thinning.succeeds());
  EXPECT_EQ(thinning.thinner->failure(), StreamThinner::Failure::kRead);
}

std::string framed(uint64_t content_field, const google::protobuf::Message& content, uint64_t sequence) {
  std::string bytes = std::string(EncoderScratch::kPrefixBytes, '\0') + content.SerializeAsString();
  const size_t content_bytes = bytes.size() - EncoderScratch::kPrefixBytes;
  bytes.append(kFrameEndBytes, '\0');
  auto* data = reinterpret_cast<uint8_t*>(bytes.data());
  const uint8_t* start = write_frame(data + EncoderScratch::kPrefixBytes, content_bytes, content_field, sequence);
  return bytes.substr(static_cast<size_t>(start - data));
}

TEST(StreamThinner, RefusesWhatTheEncoderDoesNotWrite) {
  proto::Header header, newer, large;
  header.set_version(kStreamVersion);
  newer.set_version(kStreamVersion + 1);
  large.set_version(kStreamVersion);
  large.set_options(std::string(EncoderScratch::kBufferBytes, 'x'));
  proto::End end;
  end.set_how(proto::End::EXIT);
  const std::string last = framed(kEndField, end, 1);
  EXPECT_EQ(thinned(framed(kHeaderField, header, 0) + last), framed(kHeaderField, header, 0) + last);
  EXPECT_FALSE(Thinning(framed(kHeaderField, newer, 0) + last).succeeds());
  EXPECT_FALSE(Thinning(framed(kHeaderField, large, 0) + last).succeeds());
  EXPECT_FALSE(Thinning(last).succeeds());
  EXPECT_EQ(thinned(""), "");
}

}  // namespace
}  // namespace seep
