// SPDX-License-Identifier: Apache-2.0
// Verdicts in reports: sums over sites and processes, the missing free, suppressions, and what is said of what no scan
// could see. The streams are written here, number by number, so that each sum is known.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "test_reports.h"

namespace seep {
namespace {

using nlohmann::json;
using testing::contains;
using testing::json_of;
using testing::Messages;
using testing::profile_of;
using testing::small_recording;
using testing::text_of;

constexpr uint64_t kSecond = 1'000'000'000;

proto::Scan scan_of(proto::Scan::Trigger trigger, uint64_t time_ns = 10'000'000) {
  proto::Scan scan;
  scan.set_number(1);
  scan.set_trigger(trigger);
  scan.set_time_ns(time_ns);
  scan.set_stop(proto::Scan::BY_PTRACE);
  scan.set_stopped_threads(16);
  scan.set_pause_ns(4'200'000);
  scan.set_duration_ns(5'000'000);
  scan.set_searched_bytes(3 << 20);
  return scan;
}

proto::Scan failed_scan_of(proto::Scan::Failure failure) {
  proto::Scan scan = scan_of(proto::Scan::EXIT);
  scan.set_failure(failure);
  return scan;
}

proto::Snapshot& last_snapshot(Messages& messages) {
  for (auto message = messages.rbegin();; ++message) {
    if (message->has_snapshot()) return *message->mutable_snapshot();
  }
}

proto::TraceCounters& counters_of(Messages& messages, int index) {
  for (auto message = messages.rbegin();; ++message) {
    if (message->has_counters()) return *message->mutable_counters()->mutable_counters(index);
  }
}

// The small recording, scanned at exit. Its first trace has 6 live blocks of 600 bytes: 2 definite, which hold the 3 of
// 333 of the second one, 1 possible, 3 reachable.
Messages leaking_recording() {
  Messages messages = small_recording();
  proto::Verdicts& first = *counters_of(messages, 0).mutable_verdicts();
  first.set_definite_blocks(2);
  first.set_definite_bytes(200);
  first.set_possible_blocks(1);
  first.set_possible_bytes(100);
  first.set_reachable_blocks(3);
  first.set_reachable_bytes(300);
  first.set_held_blocks(3);
  first.set_held_bytes(333);
  proto::Verdicts& second = *counters_of(messages, 1).mutable_verdicts();
  second.set_indirect_blocks(3);
  second.set_indirect_bytes(333);
  *last_snapshot(messages).mutable_scan() = scan_of(proto::Scan::EXIT);
  return messages;
}

// The same with nothing lost.
Messages tidy_recording() {
  Messages messages = leaking_recording();
  for (const int index : {0, 1}) {
    proto::TraceCounters& counters = counters_of(messages, index);
    counters.clear_verdicts();
    counters.mutable_verdicts()->set_reachable_blocks(counters.alloc_blocks() - counters.free_blocks());
    counters.mutable_verdicts()->set_reachable_bytes(counters.alloc_bytes() - counters.free_bytes());
  }
  return messages;
}

TEST(Verdicts, AddUpToWhatIsLive) {
  const json report = json_of(profile_of({leaking_recording()}));
  for (const json& row : {report["totals"], report["sites"][0], report["sites"][1]}) {
    for (const std::string unit : {"_bytes", "_blocks"}) {
      uint64_t sum = 0;
      for (const std::string name : {"definite", "indirect", "possible", "reachable"})
        sum += row[name + unit].get<uint64_t>();
      EXPECT_EQ(sum, row["live" + unit]);
    }
  }
  EXPECT_EQ(report["totals"]["definite_bytes"], 200);
  EXPECT_EQ(report["totals"]["indirect_blocks"], 3);
  EXPECT_EQ(report["totals"]["leaked_bytes"], 533);
  EXPECT_EQ(report["totals"]["leaked_blocks"], 5);
  EXPECT_EQ(report["totals"]["suppressed_bytes"], 0);
}

TEST(Verdicts, OfASiteAreTheWorstOfItsBlocks) {
  const json sites = json_of(profile_of({leaking_recording()}))["sites"];
  EXPECT_EQ(sites[0]["verdict"], "definite");
  EXPECT_EQ(sites[0]["held_bytes"], 333);
  EXPECT_EQ(sites[0]["held_blocks"], 3);
  EXPECT_EQ(sites[1]["verdict"], "indirect");
  EXPECT_EQ(sites[1]["held_blocks"], 0);
  Messages messages = leaking_recording();
  counters_of(messages, 0).mutable_verdicts()->clear_definite_blocks();
  counters_of(messages, 1).clear_verdicts();
  const json others = json_of(profile_of({messages}))["sites"];
  EXPECT_EQ(others[0]["verdict"], "possible");
  EXPECT_EQ(others[1]["verdict"], "live") << "of none of its blocks there is a verdict";
}

TEST(Verdicts, LeaksRankFirstByAllThatIsLostWithThem) {
  Messages messages = leaking_recording();
  counters_of(messages, 0).mutable_verdicts()->clear_held_bytes();
  counters_of(messages, 0).mutable_verdicts()->clear_held_blocks();
  proto::Verdicts& second = *counters_of(messages, 1).mutable_verdicts();
  second.Clear();
  second.set_definite_blocks(1);
  second.set_definite_bytes(111);
  second.set_held_blocks(1);
  second.set_held_bytes(90);
  EXPECT_EQ(json_of(profile_of({messages}))["sites"][0]["live_bytes"], 333) << "201 are lost there, 200 elsewhere";
  second.Clear();
  second.set_possible_blocks(3);
  second.set_possible_bytes(333);
  EXPECT_EQ(json_of(profile_of({messages}))["sites"][0]["live_bytes"], 600) << "definite before possible";
  proto::Verdicts& first = *counters_of(messages, 0).mutable_verdicts();
  first.Clear();
  first.set_reachable_blocks(6);
  first.set_reachable_bytes(600);
  EXPECT_EQ(json_of(profile_of({messages}))["sites"][0]["live_bytes"], 333) << "possible before reachable";
}

TEST(Verdicts, AreNullWhereNoScanRan) {
  const json report = json_of(profile_of({small_recording()}));
  for (const json& row : {report["totals"], report["sites"][0]}) {
    for (const std::string name : {"definite", "indirect", "possible", "reachable"}) {
      EXPECT_TRUE(row[name + "_bytes"].is_null()) << name;
      EXPECT_TRUE(row[name + "_blocks"].is_null()) << name;
    }
  }
  EXPECT_TRUE(report["totals"]["leaked_bytes"].is_null());
  EXPECT_TRUE(report["sites"][0]["held_bytes"].is_null());
  EXPECT_TRUE(report["processes"][0]["scan"].is_null());
  EXPECT_TRUE(report["processes"][0]["failed_scan"].is_null());
  EXPECT_EQ(report["sites"][0]["verdict"], "live");
}

// Whatever the counters say: without a scan nothing said it.
TEST(Verdicts, WithoutTheirScanAreNone) {
  Messages messages = leaking_recording();
  last_snapshot(messages).clear_scan();
  const json report = json_of(profile_of({messages}));
  EXPECT_TRUE(report["totals"]["definite_bytes"].is_null());
  EXPECT_EQ(report["sites"][0]["verdict"], "live");
  EXPECT_TRUE(contains(text_of(profile_of({messages})), "not yet leaked"));
}

TEST(Verdicts, OfSeveralProcessesAddUpAndTheUnjudgedStaysLive) {
  const Profile profile = profile_of({leaking_recording(), leaking_recording(), small_recording()});
  const json report = json_of(profile);
  EXPECT_EQ(report["totals"]["definite_bytes"], 400);
  EXPECT_EQ(report["totals"]["reachable_blocks"], 6);
  EXPECT_EQ(report["totals"]["leaked_blocks"], 10);
  EXPECT_EQ(report["totals"]["live_bytes"], 3 * 933);
  EXPECT_EQ(report["coverage"]["unjudged_processes"], 1);
  EXPECT_EQ(report["sites"].size(), 2u);
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "not judged")) << text;
  EXPECT_TRUE(contains(text, "1 process without a leak scan: what was live there is not yet leaked")) << text;
  EXPECT_FALSE(contains(text, "every block has a verdict")) << text;
}

TEST(Verdicts, ScansAreInTheJson) {
  const json process = json_of(profile_of({leaking_recording()}))["processes"][0];
  const json& scan = process["scan"];
  EXPECT_EQ(scan["number"], 1);
  EXPECT_EQ(scan["trigger"], "exit");
  EXPECT_EQ(scan["time_ns"], 10'000'000);
  EXPECT_EQ(scan["stop"], "ptrace");
  EXPECT_EQ(scan["stopped_threads"], 16);
  EXPECT_EQ(scan["missed_threads"], 0);
  EXPECT_EQ(scan["in_copy"], false);
  EXPECT_EQ(scan["pause_ns"], 4'200'000);
  EXPECT_EQ(scan["duration_ns"], 5'000'000);
  EXPECT_EQ(scan["searched_bytes"], 3 << 20);
  EXPECT_TRUE(scan["failure"].is_null());
  EXPECT_EQ(process["judged_at_end"], true);
}

TEST(Verdicts, WordsForEachWayAScanMayGo) {
  const std::pair<proto::Scan::Failure, const char*> failures[] = {
      {proto::Scan::THREADS_RAN_ON, "threads_ran_on"}, {proto::Scan::OUT_OF_TIME, "out_of_time"},
      {proto::Scan::NO_MEMORY, "no_memory"},           {proto::Scan::NO_MAPS, "no_maps"},
      {proto::Scan::COPY_DIED, "copy_died"},           {static_cast<proto::Scan::Failure>(77), "unknown"}};
  for (const auto& [failure, word] : failures) {
    Messages messages = small_recording();
    *last_snapshot(messages).mutable_failed_scan() = failed_scan_of(failure);
    const Profile profile = profile_of({messages});
    EXPECT_EQ(json_of(profile)["processes"][0]["failed_scan"]["failure"], word);
    const std::string text = text_of(profile);
    EXPECT_TRUE(contains(text, "gave no verdict")) << text;
    EXPECT_TRUE(contains(text, "live is not yet leaked")) << text;
    EXPECT_FALSE(contains(text, "Nothing was missed")) << text;
  }
  Messages late = small_recording();
  *last_snapshot(late).mutable_failed_scan() = failed_scan_of(proto::Scan::OUT_OF_TIME);
  EXPECT_TRUE(contains(text_of(profile_of({late})), "scan_limit"));
}

// A process is judged if a scan at its exit said of all that was left what it is.
TEST(Unjudged, AreProcessesThatEndedWithBlocksAndNoVerdict) {
  const auto unjudged = [](const Messages& messages) {
    return json_of(profile_of({messages}))["coverage"]["unjudged_processes"].get<int>();
  };
  EXPECT_EQ(unjudged(leaking_recording()), 0);
  EXPECT_EQ(unjudged(small_recording()), 1) << "no scan";
  Messages requested = leaking_recording();
  last_snapshot(requested).mutable_scan()->set_trigger(proto::Scan::REQUEST);
  EXPECT_EQ(unjudged(requested), 1) << "a scan some time before the end";
  Messages failed = leaking_recording();
  *last_snapshot(failed).mutable_failed_scan() = failed_scan_of(proto::Scan::NO_MEMORY);
  EXPECT_EQ(unjudged(failed), 1) << "a later scan, which failed";
  Messages replaced = small_recording();
  replaced.back().mutable_end()->set_how(proto::End::EXEC);
  EXPECT_EQ(unjudged(replaced), 0) << "exec";
  Messages killed = small_recording();
  last_snapshot(killed).set_kind(proto::Snapshot::POST_MORTEM);
  killed.back() = testing::signal_message(9, 11'000'000);
  EXPECT_EQ(unjudged(killed), 1) << "killed";
  Messages clean = small_recording();
  for (const int index : {0, 1}) {
    counters_of(clean, index).set_free_blocks(counters_of(clean, index).alloc_blocks());
    counters_of(clean, index).set_free_bytes(counters_of(clean, index).alloc_bytes());
  }
  EXPECT_EQ(unjudged(clean), 0) << "nothing was left";
  last_snapshot(clean).set_kind(proto::Snapshot::INTERVAL);
  EXPECT_EQ(unjudged(clean), 1) << "who knows what came after the last snapshot";
  Messages running = small_recording();
  running.pop_back();
  running[0] = testing::own_header_message();
  last_snapshot(running).set_kind(proto::Snapshot::INTERVAL);
  EXPECT_EQ(unjudged(running), 0) << "still running";
}

// The leaking recording, sampled: each sample of a definite block stands for 5,000 blocks of 524,288 bytes together.
Messages sampled_leaks() {
  Messages messages = testing::sampled_recording();
  proto::Verdicts& verdicts = *counters_of(messages, 0).mutable_verdicts();
  verdicts.set_definite_blocks(2);
  verdicts.set_definite_bytes(200);
  proto::WeightedSum& sum = *verdicts.mutable_definite_estimate();
  sum.set_blocks(2 * 5000);
  sum.set_bytes(2 * 524'288);
  sum.set_blocks_variance(2 * 5000.0F * 5000.0F);
  sum.set_bytes_variance(2 * 524'288.0F * 524'288.0F);
  *last_snapshot(messages).mutable_scan() = scan_of(proto::Scan::EXIT);
  return messages;
}

TEST(Sampled, OnlyDefiniteIsToldAndWithItsInterval) {
  const Profile profile = profile_of({sampled_leaks()});
  const json report = json_of(profile);
  for (const json& row : {report["totals"], report["sites"][0]}) {
    EXPECT_EQ(row["definite_bytes"], 2 * 524'288);
    EXPECT_EQ(row["definite_blocks"], 10'000);
    for (const std::string name : {"definite_bytes", "definite_blocks"}) {
      EXPECT_GT(row[name], row[name + "_interval"][0]);
      EXPECT_LT(row[name], row[name + "_interval"][1]);
    }
    for (const char* name : {"indirect_bytes", "possible_bytes", "reachable_bytes", "reachable_blocks"}) {
      EXPECT_TRUE(row[name].is_null()) << name;
    }
  }
  EXPECT_EQ(report["totals"]["leaked_bytes"], 2 * 524'288);
  EXPECT_EQ(report["sites"][0]["verdict"], "definite");
  EXPECT_EQ(report["sites"][1]["verdict"], "live");
  EXPECT_EQ(report["sites"][1]["definite_bytes"], 0);
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "Leaked at exit: at least about 1.00 MiB (95 %: ")) << text;
  EXPECT_TRUE(contains(text, "apart from encoded, unaligned or kernel-held pointers")) << text;
  EXPECT_TRUE(contains(text, "lower bound")) << text;
  EXPECT_FALSE(contains(text, "reachable")) << text;
}

TEST(Sampled, WithoutADefiniteSampleNothingIsProvedAndNothingDisproved) {
  Messages messages = sampled_leaks();
  counters_of(messages, 0).clear_verdicts();
  const Profile profile = profile_of({messages});
  const json totals = json_of(profile)["totals"];
  EXPECT_EQ(totals["definite_bytes"], 0);
  EXPECT_GT(totals["definite_bytes_interval"][1], 0);
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "No leak is proved at exit")) << text;
  EXPECT_FALSE(contains(text, "can still get at")) << text;
}

// A trace more, without allocations: where blocks are freed.
void add_freeing_trace(Messages& messages, uint32_t id, uint64_t offset) {
  for (proto::Message& message : messages) {
    if (!message.has_traces()) continue;
    proto::Trace& trace = *message.mutable_traces()->add_traces();
    trace.set_id(id);
    trace.add_modules(1 + id % 2);
    trace.add_offsets(offset);
  }
}

void set_freed_by(proto::TraceCounters& counters, uint32_t trace, uint64_t seen, uint64_t looked_at) {
  counters.set_freed_by_trace_id(trace);
  counters.set_frees_seen_there(seen);
  counters.set_frees_looked_at(looked_at);
}

TEST(MissingFree, IsShownWhereSiblingsOfALeakWereFreed) {
  Messages messages = leaking_recording();
  add_freeing_trace(messages, 3, 0x7000);
  set_freed_by(counters_of(messages, 0), 3, 2, 3);
  const Profile profile = profile_of({messages});
  const json report = json_of(profile);
  ASSERT_EQ(report["sites"].size(), 2u) << "a trace that only frees is no site";
  const json& freed = report["sites"][0]["freed_by"];
  EXPECT_EQ(freed["frees_seen"], 2);
  EXPECT_EQ(freed["frees_looked_at"], 3);
  EXPECT_EQ(freed["frames"][0]["function"], "libparse.so.1+0x7000");
  EXPECT_TRUE(report["sites"][1]["freed_by"].is_null());
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "blocks of this site are usually freed from (at least 2 of 3 frees looked at)")) << text;
  EXPECT_LT(text.find("usually freed from"), text.find("libparse.so.1+0x7000")) << text;
}

TEST(MissingFree, IsNotShownOfWhatIsNotLeaked) {
  Messages messages = tidy_recording();
  add_freeing_trace(messages, 3, 0x7000);
  set_freed_by(counters_of(messages, 0), 3, 2, 3);
  EXPECT_TRUE(json_of(profile_of({messages}))["sites"][0]["freed_by"].is_null());
}

// Three traces of one site, as of other lines of one function; most blocks are freed from the second place.
TEST(MissingFree, OfMergedTracesIsWhereMostWereFreed) {
  Messages messages = leaking_recording();
  for (proto::Message& message : messages) {
    if (message.has_traces()) {
      for (const uint32_t id : {10, 11}) {
        proto::Trace& trace = *message.mutable_traces()->add_traces();
        trace = message.traces().traces(0);
        trace.set_id(id);
      }
    } else if (message.has_counters()) {
      for (const uint32_t id : {10, 11}) testing::add_counters(message, id, 9, 900, 9, 900);
      set_freed_by(*message.mutable_counters()->mutable_counters(2), 4, 3, 4);
      set_freed_by(*message.mutable_counters()->mutable_counters(3), 4, 2, 4);
      set_freed_by(*message.mutable_counters()->mutable_counters(0), 3, 4, 4);
    }
  }
  add_freeing_trace(messages, 3, 0x7000);
  add_freeing_trace(messages, 4, 0x8000);
  const json site = json_of(profile_of({messages}))["sites"][0];
  EXPECT_EQ(site["freed_by"]["frees_seen"], 5);
  EXPECT_EQ(site["freed_by"]["frees_looked_at"], 12);
  EXPECT_EQ(site["freed_by"]["frames"][0]["function"], "server+0x8000");
  EXPECT_TRUE(contains(text_of(profile_of({messages})), "are also freed from (at least 5 of 12")) << "not usually";
}

TEST(MissingFree, OfAPlaceThatIsNotInTheStreamIsNone) {
  Messages messages = leaking_recording();
  set_freed_by(counters_of(messages, 0), 999, 2, 3);
  EXPECT_TRUE(json_of(profile_of({messages}))["sites"][0]["freed_by"].is_null());
  set_freed_by(counters_of(messages, 0), 0, 2, 3);
  EXPECT_TRUE(json_of(profile_of({messages}))["sites"][0]["freed_by"].is_null());
}

TEST(Suppressed, SitesStayWhatTheyAreAndAreNoLeaks) {
  Messages messages = leaking_recording();
  last_snapshot(messages).mutable_scan()->set_default_suppressions("# known\nleak:libparse.so\nnonsense\n");
  const Profile profile = profile_of({messages});
  const json report = json_of(profile);
  EXPECT_EQ(report["totals"]["definite_bytes"], 200);
  EXPECT_EQ(report["totals"]["suppressed_bytes"], 533);
  EXPECT_EQ(report["totals"]["suppressed_blocks"], 5);
  EXPECT_EQ(report["totals"]["leaked_bytes"], 0);
  EXPECT_EQ(report["sites"][0]["suppressed"], "libparse.so");
  EXPECT_EQ(report["sites"][0]["verdict"], "definite");
  EXPECT_TRUE(report["sites"][1]["suppressed"].is_null());
  const std::string text = text_of(profile);
  EXPECT_FALSE(contains(text, "Leaked")) << text;
  EXPECT_TRUE(contains(text, "Not counted as leaked: 533 bytes in 5 blocks, from 1 site")) << text;
  EXPECT_TRUE(contains(text, "leak:libparse.so")) << text;
  EXPECT_TRUE(contains(text, "1 line of the program's own suppressions")) << text;
}

TEST(Suppressed, InOneProcessIsNotSuppressedInAnother) {
  Messages messages = leaking_recording();
  last_snapshot(messages).mutable_scan()->set_default_suppressions("leak:libparse.so");
  const json report = json_of(profile_of({messages, leaking_recording()}));
  EXPECT_EQ(report["totals"]["definite_bytes"], 400);
  EXPECT_EQ(report["totals"]["suppressed_bytes"], 533);
  EXPECT_EQ(report["totals"]["leaked_bytes"], 533);
}

TEST(VerdictText, SaysThatThereIsALeakHowMuchWhereAndHowSure) {
  const std::string text = text_of(profile_of({leaking_recording()}));
  EXPECT_TRUE(
      contains(text, "Leaked at exit: 533 bytes in 5 blocks, from 1 site,\nthe first of which allocated after 1 ms"))
      << text;
  EXPECT_TRUE(contains(text, "definite: 200 bytes in 2 blocks, and holds 333 bytes in 3 blocks more, 100.0 %")) << text;
  EXPECT_TRUE(contains(text, "besides 100 bytes in 1 block possible, 300 bytes in 3 blocks reachable")) << text;
  EXPECT_TRUE(contains(text, "searched 3.00 MiB for pointers: 16 threads stopped by ptrace, for 4.2 ms")) << text;
  EXPECT_TRUE(contains(text, "every block has a verdict")) << text;
  EXPECT_TRUE(contains(text, "Nothing was missed")) << text;
  EXPECT_FALSE(contains(text, "No leak scan ran")) << text;
}

TEST(VerdictText, OfATidyProgramSaysThatThereIsNoLeak) {
  const std::string text = text_of(profile_of({tidy_recording()}));
  EXPECT_TRUE(contains(text, "No leak at exit: the program can still get at all that is live, 933 bytes in 9 blocks"))
      << text;
  EXPECT_TRUE(contains(text, "reachable: 600 bytes in 6 blocks")) << text;
  EXPECT_FALSE(contains(text, "Leaked")) << text;
  const std::string brief = text_of(profile_of({tidy_recording()}), {.short_report = true});
  EXPECT_FALSE(contains(brief, "#1")) << brief;
  EXPECT_TRUE(contains(brief, "2 sites with 933 bytes in 9 blocks live")) << brief;
}

TEST(VerdictText, OfWhatMayBeALeakSaysThat) {
  Messages messages = tidy_recording();
  proto::Verdicts& verdicts = *counters_of(messages, 1).mutable_verdicts();
  verdicts.Clear();
  verdicts.set_possible_blocks(3);
  verdicts.set_possible_bytes(333);
  const std::string text = text_of(profile_of({messages}));
  EXPECT_TRUE(contains(text, "Possibly leaked at exit: 333 bytes in 3 blocks; nothing is definitely leaked")) << text;
  EXPECT_TRUE(contains(text, "#1  possible: 333 bytes")) << text;
}

TEST(VerdictText, OfAScanBeforeTheEndSaysWhenItWas) {
  Messages messages = leaking_recording();
  *last_snapshot(messages).mutable_scan() = scan_of(proto::Scan::REQUEST, 12 * kSecond);
  last_snapshot(messages).mutable_scan()->set_in_copy(true);
  last_snapshot(messages).set_kind(proto::Snapshot::POST_MORTEM);
  messages.back() = testing::signal_message(9, 15 * kSecond);
  const std::string text = text_of(profile_of({messages}));
  EXPECT_TRUE(contains(text, "Leaked at the leak scan, 12 s after the start: 533 bytes")) << text;
  EXPECT_TRUE(contains(text, "in a copy of the process")) << text;
  EXPECT_TRUE(contains(text, "What was allocated or freed after a scan is not in its verdicts.")) << text;
}

TEST(VerdictText, OfAProcessThatWasReplacedNothingIsMissing) {
  Messages replaced = small_recording();
  replaced.back().mutable_end()->set_how(proto::End::EXEC);
  const Profile profile = profile_of({replaced, tidy_recording()});
  EXPECT_EQ(json_of(profile)["coverage"]["unjudged_processes"], 0);
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "No leak at exit: the program can still get at")) << text;
  EXPECT_TRUE(contains(text, "gone at exec")) << text;
  EXPECT_TRUE(contains(text, "Nothing was missed")) << text;
  EXPECT_FALSE(contains(text, "not judged")) << text;
}

TEST(VerdictText, OfSeveralProcessesSaysWhoseScanWasBeforeTheEnd) {
  Messages requested = leaking_recording();
  requested[0].mutable_header()->set_pid(1002);
  *last_snapshot(requested).mutable_scan() = scan_of(proto::Scan::REQUEST, 12 * kSecond);
  const std::string text = text_of(profile_of({leaking_recording(), requested}));
  EXPECT_TRUE(contains(text, "Leaked at the last leak scans: 1,066 bytes")) << text;
  EXPECT_TRUE(
      contains(text, "process 1002, server: what it allocated or freed after its leak scan, 12 s after its start"))
      << text;
  EXPECT_FALSE(contains(text, "every block has a verdict")) << text;
  EXPECT_TRUE(contains(text, "The leak scans of 2 processes searched 6.00 MiB")) << text;
}

// Leaked at the scan, and freed since: no more live, and still worth telling.
TEST(VerdictText, WhatWasFreedSinceTheScanWasLeakedThen) {
  Messages messages = leaking_recording();
  *last_snapshot(messages).mutable_scan() = scan_of(proto::Scan::SIGNAL, 12 * kSecond);
  for (const int index : {0, 1}) {
    counters_of(messages, index).set_free_blocks(counters_of(messages, index).alloc_blocks());
    counters_of(messages, index).set_free_bytes(counters_of(messages, index).alloc_bytes());
  }
  const std::string text = text_of(profile_of({messages}));
  EXPECT_TRUE(contains(text, "Leaked at the leak scan, 12 s after the start")) << text;
  EXPECT_TRUE(contains(text, "#1  definite: 200 bytes")) << text;
}

TEST(VerdictText, SaysWhatAScanDidNotSee) {
  EXPECT_FALSE(contains(text_of(profile_of({leaking_recording()})), "Not seen"));
  const auto text_with = [](const auto& change) {
    Messages messages = leaking_recording();
    change(*last_snapshot(messages).mutable_scan());
    return text_of(profile_of({messages}));
  };
  EXPECT_TRUE(
      contains(text_with([](proto::Scan& scan) { scan.set_unread_bytes(1 << 20); }), "1.00 MiB that could not"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_epoll_unread(true); }), "what epoll holds"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_timers_unread(true); }), "what timers hold"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_heap_as_roots(true); }), "all of the heap"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_unknown_stacks(2); }), "2 stacks of unknown bounds"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_overlapping_blocks(3); }), "3 blocks whose memory"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_stop(proto::Scan::BY_SIGNAL); }), "by a signal"));
  EXPECT_TRUE(contains(text_with([](proto::Scan& scan) { scan.set_stop(proto::Scan::ALONE); }), "no other thread ran"));
}

TEST(VerdictText, SaysWhatHangsFromInheritedBlocks) {
  Messages messages = tidy_recording();
  proto::Verdicts& verdicts = *counters_of(messages, 1).mutable_verdicts();
  verdicts.Clear();
  verdicts.set_indirect_blocks(3);
  verdicts.set_indirect_bytes(333);
  const Profile profile = profile_of({messages});
  EXPECT_EQ(json_of(profile)["totals"]["leaked_bytes"], 333);
  EXPECT_TRUE(contains(text_of(profile), "333 bytes in 3 blocks hang from lost blocks that a process inherited"))
      << text_of(profile);
}

// Numbers that no recorder writes: reports of them hold, and the stream is said to contradict itself.
TEST(UntrustedVerdicts, OfAnySizeAreReported) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  for (const bool exact : {true, false}) {
    for (const double estimate : {0.0, -1e300, 5e-324, 1e19, 1e300, HUGE_VAL, std::nan("")}) {
      Messages messages = exact ? leaking_recording() : sampled_leaks();
      for (const int index : {0, 1}) {
        proto::Verdicts& verdicts = *counters_of(messages, index).mutable_verdicts();
        verdicts.set_definite_blocks(kMost);
        verdicts.set_definite_bytes(kMost);
        verdicts.set_indirect_blocks(kMost);
        verdicts.set_indirect_bytes(kMost);
        verdicts.set_held_bytes(kMost);
        proto::WeightedSum& sum = *verdicts.mutable_definite_estimate();
        sum.set_blocks(estimate);
        sum.set_bytes(estimate);
        sum.set_blocks_variance(static_cast<float>(estimate));
        sum.set_bytes_variance(static_cast<float>(estimate));
        set_freed_by(counters_of(messages, index), 1, kMost, kMost);
      }
      proto::Scan& scan = *last_snapshot(messages).mutable_scan();
      scan.set_time_ns(kMost);
      scan.set_pause_ns(kMost);
      scan.set_searched_bytes(kMost);
      scan.set_stopped_threads(std::numeric_limits<uint32_t>::max());
      scan.set_trigger(static_cast<proto::Scan::Trigger>(99));
      scan.set_stop(static_cast<proto::Scan::Stop>(-99));
      const Profile profile = profile_of({messages, messages});
      const json totals = json_of(profile)["totals"];
      EXPECT_EQ(totals["definite_bytes"], kMost) << estimate;
      if (!exact) {
        EXPECT_LE(totals["definite_bytes_interval"][0], totals["definite_bytes"]) << estimate;
        EXPECT_GE(totals["definite_bytes_interval"][1], totals["definite_bytes"]) << estimate;
      }
      EXPECT_FALSE(contains(text_of(profile), "nan")) << estimate;
      EXPECT_FALSE(contains(text_of(profile, {.full = true}), "nan")) << estimate;
    }
  }
}

TEST(UntrustedVerdicts, ThatContradictTheirScanAreNone) {
  const auto contradicts = [](const Messages& messages) {
    return profile_of({messages}).coverage.unreadable_streams == 1;
  };
  EXPECT_FALSE(contradicts(leaking_recording()));
  Messages failed = leaking_recording();
  last_snapshot(failed).mutable_scan()->set_failure(proto::Scan::OUT_OF_TIME);
  EXPECT_TRUE(contradicts(failed));
  EXPECT_TRUE(json_of(profile_of({failed}))["totals"]["definite_bytes"].is_null());
  Messages impossible = leaking_recording();
  set_freed_by(counters_of(impossible, 0), 1, 7, 3);
  EXPECT_TRUE(contradicts(impossible));
  EXPECT_EQ(json_of(profile_of({impossible}))["sites"][0]["freed_by"]["frees_seen"], 3);
  Messages long_winded = leaking_recording();
  last_snapshot(long_winded).mutable_scan()->set_default_suppressions("leak:libparse.so\n" + std::string(20'000, '#'));
  EXPECT_TRUE(contradicts(long_winded));
  EXPECT_EQ(json_of(profile_of({long_winded}))["totals"]["suppressed_bytes"], 0);
}

TEST(UntrustedVerdicts, OfATraceWithoutAllocationsAreInNoSum) {
  Messages messages = leaking_recording();
  counters_of(messages, 0).set_alloc_blocks(0);
  const json report = json_of(profile_of({messages}));
  EXPECT_EQ(report["sites"].size(), 1u);
  EXPECT_EQ(report["totals"]["definite_bytes"], 0);
}

TEST(UntrustedVerdicts, LetNoSuppressionSteerTheTerminal) {
  Messages messages = leaking_recording();
  last_snapshot(messages).mutable_scan()->set_default_suppressions("leak:*\033[2J*\nleak:lib*");
  EXPECT_FALSE(contains(text_of(profile_of({messages})), "\033"));
}

}  // namespace
}  // namespace seep
