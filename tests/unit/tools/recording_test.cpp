// SPDX-License-Identifier: Apache-2.0
// The model of a stream, and the files and directories that recordings are read from.
#include "recording/recording.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "record/snapshot_encoder.h"
#include "recording/host_identity.h"
#include "recording/process_liveness.h"
#include "test_streams.h"

namespace seep {
namespace {

using testing::small_recording;
using testing::stream_of;
using testing::TemporaryDirectory;

ProcessRecording model_of(const std::vector<proto::Message>& messages) {
  ProcessRecording process("test.seep");
  for (const proto::Message& message : messages) process.apply(message, 0);
  return process;
}

std::vector<uint64_t> offsets_of(const ProcessRecording& process, uint32_t trace) {
  std::vector<uint64_t> offsets;
  process.frames().for_each_frame(process.traces().at(trace).innermost,
                                  [&](const FrameTree::Frame& frame) { offsets.push_back(frame.offset); });
  return offsets;
}

// What the problems of reading a path say, one a line.
std::string problems_of(const std::string& path) {
  std::string text;
  for (const Error& problem : load_recording({path}).problems) text += std::string(problem.what()) + "\n";
  return text;
}

// As a recorder numbers and as nobody would.
TEST(TraceRecords, AreInTheOrderOfTheirNumbers) {
  std::mt19937 random(7);
  std::vector<uint32_t> falling, scattered;
  for (uint32_t number = 500; number > 0; --number) falling.push_back(number);
  for (int count = 0; count < 3000; ++count) scattered.push_back(static_cast<uint32_t>(random() >> random() % 32));
  scattered.push_back(0xFFFFFFFF);
  scattered.push_back(0);
  for (const std::vector<uint32_t>& numbers : {std::vector<uint32_t>(), {5}, falling, scattered}) {
    TraceRecords records;
    std::map<uint32_t, uint64_t> expected;
    for (const uint32_t number : numbers) {
      records[number].first_allocated_ns += number;
      expected[number] += number;
    }
    std::vector<std::pair<uint32_t, uint64_t>> found;
    for (const auto& [number, record] : records) found.emplace_back(number, record.first_allocated_ns);
    EXPECT_EQ(found, (std::vector<std::pair<uint32_t, uint64_t>>(expected.begin(), expected.end())));
    EXPECT_EQ(records.size(), expected.size());
    EXPECT_EQ(records.empty(), expected.empty());
    for (uint32_t number = 0; number < 600; ++number) {
      EXPECT_EQ(records.find(number) != nullptr, expected.contains(number)) << number;
    }
    EXPECT_EQ(records.find(0x12345678), nullptr);
  }
}

TEST(FrameTree, NumbersEachPlaceOnce) {
  std::mt19937 random(3);
  FrameTree tree;
  std::vector<std::pair<uint32_t, uint64_t>> added;
  for (int count = 0; count < 50'000; ++count) {
    added.emplace_back(random() % 3, random() % 20'000);
    tree.add(FrameTree::kNoNode, {added.back().first, added.back().second});
  }
  std::set<std::pair<uint32_t, uint64_t>> places;
  for (FrameTree::Node node = 0; node < added.size(); ++node) {
    ASSERT_EQ(std::pair(tree.frame(node).module_id, tree.frame(node).offset), added[node]);
    places.insert(added[node]);
  }
  EXPECT_EQ(tree.places().size(), places.size());
}

TEST(ProcessRecording, HoldsWhatTheStreamSays) {
  const ProcessRecording process = model_of(small_recording());
  EXPECT_EQ(process.header().pid(), 4242u);
  EXPECT_TRUE(process.exact());
  EXPECT_EQ(process.modules().size(), 2u);
  EXPECT_EQ(process.traces().size(), 2u);
  EXPECT_EQ(process.snapshots().size(), 1u);
  EXPECT_EQ(process.snapshots()[0].read_live_bytes, 933u);
  EXPECT_EQ(process.traces().at(1).counters.alloc_bytes(), 1000u);
  EXPECT_EQ(process.thread_name(1), "worker");
  EXPECT_EQ(process.last_time_ns(), 11'000'000u);
  EXPECT_EQ(process.unread_blocks(), 0u);
  ASSERT_TRUE(process.end().has_value());
  EXPECT_FALSE(process.contradiction().has_value());
}

TEST(ProcessRecording, GivesSharedOuterFramesBack) {
  const ProcessRecording process = model_of(small_recording());
  EXPECT_EQ(offsets_of(process, 1), (std::vector<uint64_t>{0x2000, 0x1000}));
  EXPECT_EQ(offsets_of(process, 2), (std::vector<uint64_t>{0x3000, 0x1000}));
}

TEST(ProcessRecording, LaterCountersReplaceEarlierOnes) {
  auto messages = small_recording();
  proto::Message later;
  testing::add_counters(later, 1, 20, 2000, 20, 2000);
  messages.insert(messages.end() - 1, later);
  const ProcessRecording process = model_of(messages);
  EXPECT_EQ(process.traces().at(1).counters.free_blocks(), 20u);
}

TEST(ProcessRecording, SaysWhatALostMessageHeld) {
  auto messages = small_recording();
  messages.erase(messages.begin() + 3);  // The counters.
  EXPECT_EQ(model_of(messages).unread_blocks(), 13u);
}

TEST(ProcessRecording, RefusesANewerVersionAndReadsOlderOnes) {
  EXPECT_EQ(model_of({testing::header_message(1, 1)}).header().version(), 1u);
  try {
    model_of({testing::header_message(1, 3)});
    FAIL() << "a newer version was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUnreadable);
    EXPECT_NE(std::string(error.what()).find("version 3"), std::string::npos) << error.what();
  }
}

TEST(ProcessRecording, NamesContradictionsAndGoesOn) {
  auto messages = small_recording();
  messages[2].mutable_traces()->mutable_traces(1)->set_shared_outer_frames(77);
  const ProcessRecording process = model_of(messages);
  ASSERT_TRUE(process.contradiction().has_value());
  EXPECT_NE(process.contradiction()->find("trace 2"), std::string::npos);
  EXPECT_EQ(offsets_of(process, 1).size(), 2u);
  EXPECT_EQ(process.traces().at(2).innermost, FrameTree::kNoNode);
}

// Traces that share all but one frame with the one before, as deep as a trace may be.
proto::Message nested_traces(uint32_t count) {
  proto::Message traces;
  for (uint32_t id = 1; id <= count; ++id) {
    proto::Trace& trace = *traces.mutable_traces()->add_traces();
    trace.set_id(id);
    trace.add_modules(0);
    trace.add_offsets(id);
    trace.set_shared_outer_frames(std::min(id - 1, kMaxDepth - 1));
  }
  return traces;
}

TEST(ProcessRecording, DeepSharedStacksTakeMemoryInProportionToTheStream) {
  const ProcessRecording process = model_of({testing::header_message(), nested_traces(20'000)});
  EXPECT_FALSE(process.contradiction().has_value());
  EXPECT_EQ(process.frames().frame_count(), 20'000u);
  EXPECT_EQ(offsets_of(process, 20'000).size(), size_t{kMaxDepth});
}

TEST(ProcessRecording, KeepsATraceThatIsTooDeepWithoutItsFrames) {
  proto::Message traces = nested_traces(kMaxDepth + 1);
  traces.mutable_traces()->mutable_traces(kMaxDepth)->set_shared_outer_frames(kMaxDepth);
  const ProcessRecording process = model_of({testing::header_message(), traces});
  ASSERT_TRUE(process.contradiction().has_value());
  EXPECT_NE(process.contradiction()->find("trace 1025 has 1025 frames"), std::string::npos) << *process.contradiction();
  EXPECT_EQ(offsets_of(process, kMaxDepth).size(), size_t{kMaxDepth});
  EXPECT_TRUE(offsets_of(process, kMaxDepth + 1).empty());
}

TEST(ProcessRecording, TakesAnEstimateThatIsNoAmountForNothing) {
  for (const double wrong : {std::nan(""), HUGE_VAL, -HUGE_VAL, -1.0, 1e300}) {
    auto messages = small_recording();
    proto::TraceCounters& counters = *messages[3].mutable_counters()->mutable_counters(0);
    for (proto::WeightedSum* sum : {counters.mutable_alloc_estimate(), counters.mutable_live_estimate()}) {
      sum->set_blocks(10);
      sum->set_bytes(wrong);
      sum->set_bytes_variance(static_cast<float>(wrong));
    }
    const ProcessRecording process = model_of(messages);
    const proto::WeightedSum& read = process.traces().at(1).counters.live_estimate();
    EXPECT_TRUE(process.contradiction().has_value()) << wrong;
    EXPECT_EQ(read.blocks(), 10);
    EXPECT_EQ(read.bytes(), 0) << wrong;
    EXPECT_EQ(read.bytes_variance(), 0) << wrong;
  }
}

// As a snapshot between others has them: by proto/seep.proto's formula 3/2 is 1 + 32 * 2^14 + 2^13, and 2^7 above 1 is
// 1 + 33 * 2^7.
TEST(ProcessRecording, TakesShortEstimatesForWhatTheyStandFor) {
  auto messages = small_recording();
  proto::TraceCounters& counters = *messages[3].mutable_counters()->mutable_counters(0);
  for (const uint32_t number : {532481u, 540673u, 4225u, 4097u, 524289u}) counters.add_short_estimates(number);
  const ProcessRecording process = model_of(messages);
  const proto::TraceCounters& read = process.traces().at(1).counters;
  EXPECT_FALSE(process.contradiction().has_value());
  EXPECT_EQ(read.alloc_estimate().blocks(), 1.5);
  EXPECT_EQ(read.alloc_estimate().bytes(), 2);
  EXPECT_EQ(read.alloc_estimate().blocks_variance(), 2);
  EXPECT_EQ(read.alloc_estimate().bytes_variance(), 1);
  EXPECT_EQ(read.live_estimate().blocks(), 1);
  EXPECT_EQ(read.live_estimate().bytes(), 0);
}

TEST(ProcessRecording, TakesAShortEstimateThatIsNoAmountForNothing) {
  auto messages = small_recording();
  messages[3].mutable_counters()->mutable_counters(0)->add_short_estimates(0xFFFFFFFF);
  const ProcessRecording process = model_of(messages);
  EXPECT_TRUE(process.contradiction().has_value());
  EXPECT_EQ(process.traces().at(1).counters.alloc_estimate().blocks(), 0);
}

// A sum of which all that was added was taken away again may end a little below zero: no contradiction.
TEST(ProcessRecording, TakesWhatRoundingLeftForNothing) {
  auto messages = small_recording();
  proto::TraceCounters& counters = *messages[3].mutable_counters()->mutable_counters(0);
  counters.mutable_alloc_estimate()->set_bytes(1e9);
  counters.mutable_live_estimate()->set_bytes(-1e-7);
  const ProcessRecording process = model_of(messages);
  EXPECT_FALSE(process.contradiction().has_value());
  EXPECT_EQ(process.traces().at(1).counters.live_estimate().bytes(), 0);
}

TEST(ProcessRecording, BoundsPathsAndNames) {
  auto messages = small_recording();
  messages[1].mutable_modules()->mutable_modules(0)->set_path("/" + std::string(5000, 'p'));
  EXPECT_EQ(model_of(messages).modules().at(1).path().size(), 4096u);
  EXPECT_TRUE(model_of(messages).contradiction().has_value());
  messages = small_recording();
  messages[3].mutable_counters()->mutable_thread_names(0)->set_name("a name of 19 bytes!");
  EXPECT_EQ(model_of(messages).thread_name(1), "a name of 19 by");
  EXPECT_TRUE(model_of(messages).contradiction().has_value());
}

// Growth: a window of 1,000 ns, so that times can be small; what each trace has allocated at a snapshot of the model.
constexpr uint64_t kWindowNs = 1000;

ProcessRecording windowed_model_of(const std::vector<proto::Message>& messages) {
  ProcessRecording process("test.seep", kWindowNs);
  for (const proto::Message& message : messages) process.apply(message, 0);
  return process;
}

uint64_t alloc_bytes_at(const ProcessRecording& process, uint32_t trace, SnapshotOrdinal snapshot) {
  return ProcessRecording::sums_at(process.traces().at(trace), snapshot).alloc_bytes;
}

TEST(GrowthSpan, IsFromTheNewestSnapshotThatIsOldEnough) {
  std::vector<proto::Message> messages = {testing::header_message(), testing::modules_message(),
                                          testing::traces_message()};
  testing::add_snapshot(messages, 500, {{1, 10}, {1, 7}});
  testing::add_snapshot(messages, 2000, {{2, 20}});
  testing::add_snapshot(messages, 2600, {{3, 30}});
  testing::add_snapshot(messages, 3100, {{4, 40, 1, 10}});
  const ProcessRecording process = windowed_model_of(messages);
  const GrowthSpan span = *process.growth_span();
  EXPECT_EQ(span.from_ns, 2000u);
  EXPECT_EQ(span.to_ns, 3100u);
  EXPECT_FALSE(span.from_start());
  EXPECT_EQ(alloc_bytes_at(process, 1, span.from), 20u);
  EXPECT_EQ(alloc_bytes_at(process, 1, span.to), 40u);
  EXPECT_EQ(ProcessRecording::sums_at(process.traces().at(1), span.to).free_bytes, 10u);
  EXPECT_EQ(alloc_bytes_at(process, 2, span.from), 7u);
  EXPECT_EQ(alloc_bytes_at(process, 2, span.to), 7u);
  EXPECT_TRUE(process.traces().at(2).past.empty()) << "a trace that does not change takes no memory";
}

TEST(GrowthSpan, IsFromTheStartWhereNoSnapshotIsOldEnough) {
  std::vector<proto::Message> messages = {testing::header_message(), testing::traces_message()};
  testing::add_snapshot(messages, 300, {{1, 10}});
  testing::add_snapshot(messages, 1299, {{2, 20}});
  const ProcessRecording process = windowed_model_of(messages);
  EXPECT_TRUE(process.growth_span()->from_start());
  EXPECT_EQ(process.growth_span()->length_ns(), 1299u);
  EXPECT_EQ(alloc_bytes_at(process, 1, 0), 0u);
  EXPECT_FALSE(windowed_model_of({testing::header_message()}).growth_span().has_value());
}

TEST(GrowthSpan, EndsAtTheLastClosedSnapshot) {
  std::vector<proto::Message> messages = {testing::header_message(), testing::traces_message()};
  testing::add_snapshot(messages, 100, {{1, 10}});
  testing::add_snapshot(messages, 1100, {{2, 20}});
  testing::add_snapshot(messages, 5000, {{3, 30}, {9, 900}});
  messages.pop_back();  // Killed before it was closed.
  const ProcessRecording process = windowed_model_of(messages);
  const GrowthSpan span = *process.growth_span();
  EXPECT_EQ(span.from_ns, 100u);
  EXPECT_EQ(span.to_ns, 1100u);
  EXPECT_EQ(alloc_bytes_at(process, 1, span.to), 20u);
  EXPECT_EQ(alloc_bytes_at(process, 2, span.to), 0u);
  EXPECT_EQ(process.traces().at(1).counters.alloc_bytes(), 30u);
}

// Idle for long before it was killed: nothing grew in the last window, and the span says so.
TEST(GrowthSpan, ReachesToAnEndThatIsKnownWhereNothingCanBeMissing) {
  std::vector<proto::Message> messages = {testing::header_message(), testing::traces_message()};
  testing::add_snapshot(messages, 100, {{1, 10}});
  testing::add_snapshot(messages, 2000, {{2, 20}}, proto::Snapshot::POST_MORTEM);
  messages.push_back(testing::signal_message(9, 9000));
  const GrowthSpan span = *windowed_model_of(messages).growth_span();
  EXPECT_EQ(span.from_ns, 2000u);
  EXPECT_EQ(span.to_ns, 9000u);
  // The same without its region: what came after the first snapshot is not known.
  std::vector<proto::Message> cut(messages.begin(), messages.begin() + 4);
  cut.push_back(testing::signal_message(9, 9000));
  EXPECT_EQ(windowed_model_of(cut).growth_span()->to_ns, 100u);
}

// Against a model that forgets nothing: random programs, with some thousand snapshots in a window.
TEST(GrowthSpan, IsRightAndBoundedHoweverManySnapshotsThereAre) {
  constexpr uint32_t kTraces = 5;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    const uint64_t longest_gap_ns = 1 + random() % (seed % 2 == 0 ? 700 : 3);
    ProcessRecording process("test.seep", kWindowNs);
    std::vector<uint64_t> times = {0};
    std::vector<std::array<uint64_t, kTraces + 1>> truth(1);
    for (int step = 0; step < 2000; ++step) {
      times.push_back(times.back() + 1 + random() % longest_gap_ns);
      truth.push_back(truth.back());
      proto::Message counters;
      for (uint32_t trace = 1; trace <= kTraces; ++trace) {
        if (random() % (1u << trace) != 0) continue;
        truth.back()[trace] += 1 + random() % 100;
        testing::add_counters(counters, trace, truth.back()[trace], truth.back()[trace], 0, 0);
      }
      if (counters.has_counters()) process.apply(counters, 0);
      proto::Message closing;
      closing.mutable_snapshot()->set_time_ns(times.back());
      process.apply(closing, 0);

      const GrowthSpan span = *process.growth_span();
      ASSERT_EQ(span.to, times.size() - 1);
      ASSERT_EQ(span.from_ns, times[span.from]);
      ASSERT_EQ(span.to_ns, times.back());
      // Not younger than the window, and not older than it must be but for the distance between moments.
      ASSERT_GE(span.length_ns(), std::min(times.back(), kWindowNs));
      ASSERT_LE(span.length_ns(), kWindowNs + longest_gap_ns + kWindowNs / 64 + 1);
      for (const auto& [trace, record] : process.traces()) {
        ASSERT_EQ(alloc_bytes_at(process, trace, span.from), truth[span.from][trace]) << "seed " << seed;
        ASSERT_EQ(alloc_bytes_at(process, trace, span.to), truth.back()[trace]) << "seed " << seed;
        ASSERT_LE(record.past.size(), GrowthMoments::kMostMoments + 1);
      }
    }
  }
}

TEST(Loading, RefusesWhatIsNoRecordingInOneLineEach) {
  const TemporaryDirectory directory;
  const auto check = [](const std::string& path, const std::string& words) {
    const std::string problems = problems_of(path);
    EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 1) << problems;
    EXPECT_NE(problems.find(words), std::string::npos) << problems;
    EXPECT_NE(problems.find(path), std::string::npos) << problems;
    EXPECT_TRUE(load_recording({path}).processes.empty());
  };
  check(directory.write("empty.seep", ""), "is empty");
  check(directory.write("text.seep", "hello, this is no recording\n"), "is not a seep recording");
  check(directory.write("zeros.seep", std::string(1000, '\0')), "is not a seep recording");
  check(directory.path("absent.seep"), "No such file");
  check(directory.write("newer.seep", stream_of({testing::header_message(1, 7)})), "version 7");
  const std::string good = directory.write("good", stream_of(small_recording()));
  ASSERT_EQ(symlink(good.c_str(), directory.path("link.seep").c_str()), 0);
  check(directory.path("link.seep"), "symbolic link");
  ASSERT_EQ(mkfifo(directory.path("pipe.seep").c_str(), 0600), 0);
  check(directory.path("pipe.seep"), "not a regular file");
  ASSERT_EQ(mkdir(directory.path("nothing").c_str(), 0700), 0);
  check(directory.path("nothing"), "no recording");
}

TEST(Loading, RefusesAnotherUsersFileUnlessRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "not run: only root can make another user's file";
  const TemporaryDirectory directory;
  const std::string path = directory.write("theirs.seep", stream_of(small_recording()));
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(chmod(directory.path().c_str(), 0755), 0);
  EXPECT_EQ(problems_of(path), "");
  const pid_t child = fork();
  if (child == 0) {
    const bool changed = setuid(65533) == 0;
    _exit(changed && problems_of(path).find("another user") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Loading, ADirectoryIsItsStreamsAndNothingElse) {
  const TemporaryDirectory directory;
  auto another = small_recording();
  another[0].mutable_header()->set_recording_id("fedcba9876543210");
  directory.write("a.seep", stream_of(small_recording()));
  directory.write("b.seep", stream_of(another));
  directory.write("notes.txt", "not a stream");
  const Recording recording = load_recording({directory.path()});
  EXPECT_EQ(recording.processes.size(), 2u);
  EXPECT_TRUE(recording.problems.empty());
}

TEST(Loading, ABadStreamAmongGoodOnesIsAProblemBesideThem) {
  const TemporaryDirectory directory;
  directory.write("a.seep", stream_of(small_recording()));
  directory.write("b.seep", "nonsense");
  const Recording recording = load_recording({directory.path()});
  EXPECT_EQ(recording.processes.size(), 1u);
  ASSERT_EQ(recording.problems.size(), 1u);
  EXPECT_EQ(recording.problems[0].path(), directory.path("b.seep"));
}

TEST(Loading, NamesTheByteWhereAFileIsCut) {
  const TemporaryDirectory directory;
  const std::string stream = stream_of(small_recording());
  const std::string path = directory.write("cut.seep", stream.substr(0, stream.size() - 3));
  const Recording recording = load_recording({path});
  ASSERT_EQ(recording.problems.size(), 1u);
  const uint64_t end_size = encode_message(testing::end_message(), 5).size();
  EXPECT_EQ(recording.problems[0].offset(), stream.size() - end_size);
  EXPECT_EQ(recording.processes[0]->traces().size(), 2u);
}

TEST(Liveness, KnowsItsOwnProcessAndNoOther) {
  const proto::Message message = testing::own_header_message();
  const proto::Header& header = message.header();
  EXPECT_TRUE(is_running(model_of({message})));

  proto::Message reused = message;
  reused.mutable_header()->set_process_start_ticks(header.process_start_ticks() + 1);
  EXPECT_FALSE(is_running(model_of({reused})));
  proto::Message other_boot = message;
  other_boot.mutable_header()->set_boot_id("another boot's id");
  EXPECT_FALSE(is_running(model_of({other_boot})));
  proto::Message other_namespace = message;
  other_namespace.mutable_header()->set_pid_namespace(header.pid_namespace() + 1);
  EXPECT_FALSE(is_running(model_of({other_namespace})));
}

}  // namespace
}  // namespace seep
