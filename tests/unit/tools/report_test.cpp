// SPDX-License-Identifier: Apache-2.0
// What reports say: sites merged over traces and processes, the JSON contract key by key, and of the text what a reader
// relies on, never its layout.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <sstream>

#include "formats/human.h"
#include "leaks/process_stacks.h"
#include "test_reports.h"

namespace seep {
namespace {

using nlohmann::json;
using testing::contains;
using testing::json_of;
using testing::Messages;
using testing::profile_of;
using testing::sampled_recording;
using testing::small_recording;
using testing::text_of;

Messages unobserved_recording() {
  proto::Message header = testing::header_message();
  header.mutable_header()->mutable_not_observed()->set_reason(proto::NotObserved::STATICALLY_LINKED);
  return {header, testing::end_message()};
}

TEST(Profile, MergesTracesToRankedSites) {
  const Profile profile = profile_of({small_recording()});
  ASSERT_EQ(profile.sites.size(), 2u);
  EXPECT_EQ(profile.sites[0].activity.live.bytes.value(), 600);
  EXPECT_EQ(profile.sites[1].activity.live.bytes.value(), 333);
  EXPECT_EQ(profile.totals.live.bytes.value(), 933);
  EXPECT_EQ(profile.totals.alloc.blocks.value(), 13);
}

TEST(Profile, AddsTheSameSiteOfSeveralProcesses) {
  Messages later = small_recording();
  later[0].mutable_header()->set_started_unix_ns(1'700'000'003'000'000'000);
  const Profile profile = profile_of({small_recording(), later});
  ASSERT_EQ(profile.sites.size(), 2u);
  EXPECT_EQ(profile.sites[0].activity.live.bytes.value(), 1200);
  EXPECT_EQ(profile.sites[0].processes, 2u);
  EXPECT_EQ(profile.sites[0].first_allocated_ns, 1'000'000u);
  EXPECT_EQ(profile.sites[0].last_allocated_ns, 3'005'000'000u);
  EXPECT_EQ(profile.duration_ns, 3'011'000'000u);
}

TEST(Profile, CountsOfLostStacksAreNotLost) {
  Messages messages = small_recording();
  messages.erase(messages.begin() + 2);  // The traces.
  const Profile profile = profile_of({messages});
  ASSERT_EQ(profile.sites.size(), 1u);
  EXPECT_EQ(profile.sites[0].activity.live.bytes.value(), 933);
  EXPECT_TRUE(contains(profile.sites[0].frames()[0]->function, "lost"));
}

TEST(Profile, StacksThatCouldNotBeWalkedAreNotCalledLost) {
  Messages messages = small_recording();
  for (proto::Trace& trace : *messages[2].mutable_traces()->mutable_traces()) {
    trace.clear_modules();
    trace.clear_offsets();
    trace.clear_shared_outer_frames();
    trace.set_first_allocated_ns(0);
  }
  const Profile profile = profile_of({messages});
  ASSERT_EQ(profile.sites.size(), 1u);
  EXPECT_EQ(profile.sites[0].frames()[0]->function, "[no stack]");
}

// Sites by the thousand, each a frame deeper than the one before: what is kept of their stacks is what was recorded,
// and not the sum of their depths.
TEST(Profile, KeepsStacksThatSitesShareOnce) {
  constexpr uint32_t kTraces = 5000, kDepth = 1000;
  Messages messages = {testing::header_message(), testing::modules_message(), {}, {}, testing::snapshot_message()};
  for (uint32_t id = 1; id <= kTraces; ++id) {
    proto::Trace& trace = *messages[2].mutable_traces()->add_traces();
    trace.set_id(id);
    trace.add_modules(id % kDepth % 2 + 1);  // Other functions than their callers', so that no two sites are the same.
    trace.add_offsets(id);
    trace.set_shared_outer_frames((id - 1) % kDepth);
    testing::add_counters(messages[3], id, 1, id, 0, 0);
  }
  const Profile profile = profile_of({messages});
  ASSERT_EQ(profile.sites.size(), size_t{kDepth});
  size_t frames_of_sites = 0;
  for (const Site& site : profile.sites) frames_of_sites += site.frames().size();
  EXPECT_EQ(frames_of_sites, kDepth * (kDepth + 1) / 2);
  EXPECT_LE(profile.sites[0].stacks->node_count(), size_t{kTraces});
  EXPECT_LE(profile.sites[0].stacks->frame_count(), size_t{kTraces});
  EXPECT_EQ(profile.sites[0].stacks, profile.sites[999].stacks);
}

// What is known of a path through a tree, however one goes from one path to the next.
TEST(TreePath, IsThatOfTheNodeThatWasAskedFor) {
  std::mt19937 random(5);
  FrameTree tree;
  for (FrameTree::Node node = 0; node < 300; ++node) {
    const auto before = static_cast<FrameTree::Node>(1 + random() % 5);
    tree.add(before > node || random() % 20 == 0 ? FrameTree::kNoNode : node - before, {1, random() % 100});
  }
  struct Known {
    size_t depth;
    uint64_t offsets;
  };
  TreePath<Known> path;
  for (int round = 0; round < 5'000; ++round) {
    const auto innermost = static_cast<FrameTree::Node>(random() % 300);
    path.go_to(tree, innermost, [&](FrameTree::Node node, const auto* outer) {
      return Known{outer == nullptr ? 1 : outer->known.depth + 1,
                   (outer == nullptr ? 0 : outer->known.offsets) * 31 + tree.frame(node).offset};
    });
    std::vector<FrameTree::Node> expected;
    for (FrameTree::Node node = innermost; node != FrameTree::kNoNode; node = tree.caller(node))
      expected.push_back(node);
    ASSERT_EQ(path.steps().size(), expected.size());
    uint64_t offsets = 0;
    for (size_t index = 0; index < expected.size(); ++index) {
      const FrameTree::Node node = expected[expected.size() - 1 - index];
      offsets = offsets * 31 + tree.frame(node).offset;
      ASSERT_EQ(path.steps()[index].node, node);
      ASSERT_EQ(path.steps()[index].known.depth, index + 1);
      ASSERT_EQ(path.steps()[index].known.offsets, offsets);
    }
  }
}

// Numbers from the edges of what a stream can say: reports of them hold, whatever they say.
TEST(Formats, WriteTheLargestAndSmallestEstimates) {
  for (const double bytes : {0.0, 5e-324, 1e-300, 1.0, 1e19, 0x1p64, 0x1p80, 1e300, HUGE_VAL, std::nan("")}) {
    for (const float variance : {0.0F, 1e-45F, 1.0F, 1e20F, 3e38F, HUGE_VALF, std::nanf("")}) {
      for (const uint64_t proven : {uint64_t{0}, uint64_t{1}, ~uint64_t{0}}) {
        Messages messages = sampled_recording();
        messages.pop_back();  // Without its End growth is told of, too.
        proto::TraceCounters& counters = *messages[3].mutable_counters()->mutable_counters(0);
        counters.set_alloc_bytes(proven);
        counters.set_free_bytes(0);
        for (proto::WeightedSum* sum : {counters.mutable_alloc_estimate(), counters.mutable_live_estimate()}) {
          sum->set_bytes(bytes);
          sum->set_blocks(bytes);
          sum->set_bytes_variance(variance);
          sum->set_blocks_variance(variance);
        }
        const Profile profile = profile_of({messages});
        const json report = json_of(profile);
        EXPECT_LE(report["totals"]["live_bytes_interval"][0], report["totals"]["live_bytes"])
            << bytes << " " << variance;
        EXPECT_GE(report["totals"]["live_bytes_interval"][1], report["totals"]["live_bytes"])
            << bytes << " " << variance;
        EXPECT_FALSE(contains(text_of(profile), "nan")) << bytes << " " << variance;
      }
    }
  }
}

TEST(Formats, RoundWhatIsTooLargeToTheLargestNumber) {
  EXPECT_EQ(whole_count(2.5), 3u);
  EXPECT_EQ(whole_count(-1e300), 0u);
  EXPECT_EQ(whole_count(std::nan("")), 0u);
  EXPECT_EQ(whole_count(0x1p63), uint64_t{1} << 63);
  EXPECT_EQ(whole_count(0x1p64), ~uint64_t{0});
  EXPECT_EQ(whole_count(HUGE_VAL), ~uint64_t{0});
  EXPECT_EQ(whole_change(-2.5), -3);
  EXPECT_EQ(whole_change(0x1p63), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(whole_change(-HUGE_VAL), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(whole_change(std::nan("")), 0);
}

TEST(JsonReport, HasTheKeysOfTheContract) {
  const json report = json_of(profile_of({small_recording()}));
  EXPECT_EQ(report["schema"], "seep.report/1");
  const json& process = report["processes"][0];
  EXPECT_EQ(process["pid"], 4242);
  EXPECT_EQ(process["ppid"], 1);
  EXPECT_EQ(process["executable"], "/opt/demo/server");
  EXPECT_EQ(process["command"], json::array({"./server"}));
  EXPECT_EQ(process["sample_bytes"], 1);
  EXPECT_EQ(process["ended"], "exit");
  EXPECT_EQ(process["exit_status"], 0);
  EXPECT_TRUE(process["signal"].is_null());
  EXPECT_EQ(process["snapshots"], 1);
  EXPECT_EQ(process["inherited_bytes"], 0);
  EXPECT_EQ(process["inherited_blocks"], 0);
  const json& site = report["sites"][0];
  EXPECT_EQ(site["live_bytes"], 600);
  EXPECT_EQ(site["live_blocks"], 6);
  EXPECT_EQ(site["alloc_bytes"], 1000);
  EXPECT_EQ(site["alloc_blocks"], 10);
  EXPECT_EQ(site["temporary_blocks"], 2);
  EXPECT_EQ(site["verdict"], "live");
  EXPECT_EQ(site["fingerprint"].get<std::string>().size(), 16u);
  EXPECT_EQ(site["first_allocated_ns"], 1'000'000);
  EXPECT_EQ(site["last_allocated_ns"], 5'000'000);
  for (const char* key : {"function", "file", "line", "module", "inlined", "runtime"}) {
    EXPECT_TRUE(site["frames"][0].contains(key)) << key;
  }
  const json& coverage = report["coverage"];
  EXPECT_EQ(coverage["fraction"], 1);
  EXPECT_EQ(coverage["dropped_records"], 0);
  EXPECT_EQ(coverage["cut_traces"], 0);
  EXPECT_EQ(coverage["unobserved_processes"], 0);
  EXPECT_EQ(coverage["unjudged_processes"], 1);  // It ended with live blocks, and no scan.
  EXPECT_EQ(report["totals"]["live_bytes"], 933);
}

TEST(JsonReport, HasNoIntervalsWhereExact) {
  EXPECT_FALSE(contains(json_of(profile_of({small_recording()})).dump(), "_interval"));
}

// A snapshot between others leaves it out of what is live, with the ages; none may come after it.
TEST(JsonReport, SaysNothingOfWhatWasTemporaryWhereItIsNotKnown) {
  Messages messages = small_recording();
  proto::TraceCounters& counters = *messages[3].mutable_counters()->mutable_counters(0);
  counters.clear_temporary_blocks();
  counters.clear_lifetime_blocks();
  const Profile profile = profile_of({messages});
  EXPECT_TRUE(json_of(profile)["totals"]["temporary_blocks"].is_null());
  EXPECT_NE(text_of(profile).find("How many of the allocations were temporary is not known"), std::string::npos);
}

TEST(JsonReport, HasIntervalsWhereSampled) {
  const json report = json_of(profile_of({sampled_recording()}));
  for (const char* key : {"live_bytes", "live_blocks", "alloc_bytes", "alloc_blocks", "temporary_blocks"}) {
    for (const json& row : {report["totals"], report["sites"][0]}) {
      const json& interval = row[std::string(key) + "_interval"];
      ASSERT_EQ(interval.size(), 2u) << key;
      EXPECT_LE(interval[0], row[key]) << key;
      EXPECT_GE(interval[1], row[key]) << key;
    }
  }
  EXPECT_EQ(report["totals"]["live_bytes"], 9 * 524288);
}

TEST(JsonReport, TopLimitsSitesAndNotTotals) {
  const json report = json_of(profile_of({small_recording()}), {.top = 1});
  EXPECT_EQ(report["sites"].size(), 1u);
  EXPECT_EQ(report["totals"]["live_bytes"], 933);
}

TEST(JsonReport, HowProcessesEnded) {
  Messages killed = small_recording();
  killed.back().mutable_end()->set_how(proto::End::SIGNAL);
  killed.back().mutable_end()->set_exit_status_known(false);
  killed.back().mutable_end()->set_signal(9);
  const json signalled = json_of(profile_of({killed}))["processes"][0];
  EXPECT_EQ(signalled["ended"], "signal");
  EXPECT_EQ(signalled["signal"], 9);
  EXPECT_TRUE(signalled["exit_status"].is_null());
  Messages unfinished = small_recording();
  unfinished.pop_back();
  EXPECT_EQ(json_of(profile_of({unfinished}))["processes"][0]["ended"], "unknown");
}

TEST(JsonReport, LossLowersTheFraction) {
  Messages lossy = small_recording();
  lossy[4].mutable_snapshot()->mutable_loss()->set_dropped_region_full(13);
  const json coverage = json_of(profile_of({lossy}))["coverage"];
  EXPECT_EQ(coverage["dropped_records"], 13);
  EXPECT_EQ(coverage["fraction"], 0.5);
  Messages damaged = small_recording();
  damaged.erase(damaged.begin() + 3);
  EXPECT_LT(json_of(profile_of({damaged}))["coverage"]["fraction"], 1);
}

TEST(JsonReport, CutStacksAreCountedButForDepth) {
  Messages messages = small_recording();
  messages[2].mutable_traces()->mutable_traces(0)->set_cut(proto::Trace::DEPTH_LIMIT);
  EXPECT_EQ(json_of(profile_of({messages}))["coverage"]["cut_traces"], 0);
  messages[2].mutable_traces()->mutable_traces(0)->set_cut(proto::Trace::OUTSIDE_STACK);
  EXPECT_EQ(json_of(profile_of({messages}))["coverage"]["cut_traces"], 1);
}

TEST(TextReport, AnswersTheFiveQuestions) {
  const std::string text = text_of(profile_of({small_recording()}));
  EXPECT_TRUE(contains(text, "933 bytes")) << text;      // How much,
  EXPECT_TRUE(contains(text, "2 sites")) << text;        // in how many,
  EXPECT_TRUE(contains(text, "libparse.so.1")) << text;  // which,
  EXPECT_TRUE(contains(text, "after 1 ms")) << text;     // since when,
  EXPECT_TRUE(contains(text, "Exact")) << text;          // how sure.
  EXPECT_TRUE(contains(text, "not yet leaked")) << text;
  EXPECT_TRUE(contains(text, "4 of 10 freed")) << text;
  EXPECT_TRUE(contains(text, "never freed")) << text;
  EXPECT_TRUE(contains(text, "thread worker")) << text;
  EXPECT_TRUE(contains(text, "\nNext: ")) << text;
}

// The numbers of the totals table, row by row.
std::vector<std::vector<uint64_t>> table_of(const std::string& text) {
  std::vector<std::vector<uint64_t>> rows;
  std::istringstream lines(text.substr(text.find("Totals")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && rows.size() < 3) {
    std::istringstream words(line);
    std::vector<uint64_t> row;
    for (std::string word; words >> word;) {
      std::erase(word, ',');
      std::erase(word, '~');
      if (!word.empty() && std::all_of(word.begin(), word.end(), ::isdigit)) row.push_back(std::stoull(word));
    }
    rows.push_back(row);
  }
  return rows;
}

TEST(TextReport, TotalsAddUpWhateverIsShown) {
  for (const Messages& messages : {small_recording(), sampled_recording()}) {
    auto rows = table_of(text_of(profile_of({messages}), {.top = 1}));
    ASSERT_EQ(rows.size(), 3u);
    for (auto* row : {&rows[0], &rows[1]}) row->erase(row->begin());  // How many sites.
    ASSERT_EQ(rows[0].size(), rows[2].size());
    for (size_t column = 0; column < rows[2].size(); ++column) {
      EXPECT_EQ(rows[0][column] + rows[1][column], rows[2][column]) << "column " << column;
    }
  }
}

TEST(TextReport, OfASampledRecordingHasIntervals) {
  const std::string text = text_of(profile_of({sampled_recording()}));
  EXPECT_TRUE(contains(text, "about")) << text;
  EXPECT_TRUE(contains(text, "95 %")) << text;
  EXPECT_TRUE(contains(text, "Sampled")) << text;
  EXPECT_FALSE(contains(text, "Exact")) << text;
}

TEST(TextReport, OfNothingObservedSaysSoAndNothingElse) {
  const Profile profile = profile_of({unobserved_recording()});
  EXPECT_FALSE(profile.observed());
  EXPECT_EQ(profile.coverage.fraction(), 0);
  for (const bool full : {false, true}) {
    const std::string text = text_of(profile, {.full = full});
    EXPECT_TRUE(contains(text, "Nothing was observed")) << text;
    EXPECT_TRUE(contains(text, "statically linked")) << text;
    for (const char* never : {"no leak", "No leak", "Nothing was live", "Still live", "Nothing was missed", "freed"}) {
      EXPECT_FALSE(contains(text, never)) << never << " in:\n" << text;
    }
  }
  EXPECT_EQ(json_of(profile)["coverage"]["unobserved_processes"], 1);
}

TEST(TextReport, AHeaderAloneIsNothingObserved) { EXPECT_FALSE(profile_of({{testing::header_message()}}).observed()); }

TEST(TextReport, NamesAnUnobservedProcessAmongObservedOnes) {
  const Profile profile = profile_of({small_recording(), unobserved_recording()});
  EXPECT_TRUE(profile.observed());
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "Not seen")) << text;
  EXPECT_TRUE(contains(text, "statically linked")) << text;
  EXPECT_TRUE(contains(text, "Still live")) << text;
}

TEST(TextReport, SaysEachLossInWordsAndOnlyThose) {
  EXPECT_TRUE(contains(text_of(profile_of({small_recording()})), "Nothing was missed"));
  Messages lossy = small_recording();
  lossy[4].mutable_snapshot()->mutable_loss()->set_dropped_nested(1'234);
  const std::string text = text_of(profile_of({lossy}));
  EXPECT_TRUE(contains(text, "1,234 allocations")) << text;
  EXPECT_FALSE(contains(text, "Nothing was missed")) << text;
  EXPECT_FALSE(contains(text, "snapshots")) << text;
}

TEST(TextReport, WhereAllWasFreedSaysThatAndHowSure) {
  Messages clean = small_recording();
  for (auto& counters : *clean[3].mutable_counters()->mutable_counters()) {
    counters.set_free_blocks(counters.alloc_blocks());
    counters.set_free_bytes(counters.alloc_bytes());
  }
  EXPECT_TRUE(contains(text_of(profile_of({clean})), "Nothing was live at exit"));
  clean[0].mutable_header()->set_sample_bytes(524288);
  const std::string sampled = text_of(profile_of({clean}));
  EXPECT_FALSE(contains(sampled, "Nothing was live")) << sampled;
  EXPECT_TRUE(contains(sampled, "can hide")) << sampled;
}

constexpr uint64_t kSecond = 1'000'000'000;

// A process that was killed after 42 s: its first site held most and grew by 300 bytes in the last 12 s, its second by
// 5,000; from 10 to 30 s both had been elsewhere.
Messages killed_recording(uint32_t pid = 4242) {
  Messages messages = {testing::header_message(), testing::modules_message(), testing::traces_message()};
  messages[0].mutable_header()->set_pid(pid);
  messages[0].mutable_header()->set_interval_ns(10 * kSecond);
  testing::add_snapshot(messages, 10 * kSecond, {{50, 50'000}});
  testing::add_snapshot(messages, 30 * kSecond, {{100, 100'000}, {1, 1'000}});
  testing::add_snapshot(messages, 40 * kSecond, {{101, 100'100}, {5, 5'000}});
  testing::add_snapshot(messages, 42 * kSecond, {{104, 100'400, 1, 100}, {6, 6'000}}, proto::Snapshot::POST_MORTEM);
  messages.push_back(testing::signal_message(9, 42 * kSecond));
  return messages;
}

// The lines about growth: from the one that names the span to the next empty one.
std::string growth_section(const std::string& text) {
  const size_t start = text.find("\nIn the last");
  return start == std::string::npos ? "" : text.substr(start + 1, text.find("\n\n", start) - start);
}

TEST(Growth, OfAKilledProcessIsOfItsLastSeconds) {
  const Profile profile = profile_of({killed_recording()});
  const json report = json_of(profile);
  EXPECT_EQ(report["processes"][0]["growth_span_ns"], 12 * kSecond);
  EXPECT_EQ(report["sites"][0]["live_bytes"], 100'300);
  EXPECT_EQ(report["sites"][0]["growth_bytes"], 300);
  EXPECT_EQ(report["sites"][0]["growth_blocks"], 3);
  EXPECT_EQ(report["sites"][1]["growth_bytes"], 5'000);
  EXPECT_EQ(report["sites"][1]["growth_blocks"], 5);
  EXPECT_EQ(report["totals"]["growth_bytes"], 5'300);
  EXPECT_EQ(report["totals"]["growth_blocks"], 8);
  const std::string section = growth_section(text_of(profile));
  EXPECT_TRUE(section.starts_with("In the last 12 s before the end: +5.18 KiB live")) << section;
  EXPECT_LT(section.find("#2"), section.find("#1")) << "what grew most comes first: " << section;
  EXPECT_TRUE(contains(section, "+4.88 KiB (+5 blocks)")) << section;
  EXPECT_TRUE(contains(section, "+300 B (+3 blocks)")) << section;
}

TEST(Growth, MayBeNegative) {
  Messages messages = killed_recording();
  messages[messages.size() - 3].mutable_counters()->mutable_counters(0)->set_free_bytes(60'400);
  const Profile profile = profile_of({messages});
  const json report = json_of(profile);
  EXPECT_EQ(report["sites"][0]["growth_bytes"], -60'000);
  EXPECT_EQ(report["totals"]["growth_bytes"], -55'000);
  const std::string section = growth_section(text_of(profile));
  EXPECT_TRUE(contains(section, ": -53.7 KiB live; what grew all the same:")) << section;
  EXPECT_FALSE(contains(section, "#1")) << section;
  EXPECT_TRUE(contains(section, "#2")) << section;
}

TEST(Growth, OfAnIdleProcessIsNone) {
  Messages messages = killed_recording();
  messages.back() = testing::signal_message(9, 99 * kSecond);
  const Profile profile = profile_of({messages});
  EXPECT_EQ(json_of(profile)["processes"][0]["growth_span_ns"], (99 - 42) * kSecond);
  EXPECT_EQ(json_of(profile)["totals"]["growth_bytes"], 0);
  EXPECT_EQ(growth_section(text_of(profile)), "In the last 57 s before the end: no growth\n");
}

TEST(Growth, OfAShortLifeIsAllOfIt) {
  Messages messages = {testing::header_message(), testing::traces_message()};
  testing::add_snapshot(messages, 3 * kSecond, {{3, 300}}, proto::Snapshot::POST_MORTEM);
  const Profile profile = profile_of({messages});
  EXPECT_EQ(json_of(profile)["processes"][0]["growth_span_ns"], 3 * kSecond);
  EXPECT_EQ(json_of(profile)["sites"][0]["growth_bytes"], 300);
  EXPECT_TRUE(contains(text_of(profile), "grew since the start, in 3.0 s")) << text_of(profile);
  EXPECT_FALSE(contains(text_of(profile), "10 s"));
}

TEST(Growth, IsNotToldOfProcessesThatEndedOfTheirOwnAccord) {
  Messages exited = killed_recording();
  exited.back().mutable_end()->set_how(proto::End::EXIT);
  const Profile profile = profile_of({exited});
  const json report = json_of(profile);
  EXPECT_TRUE(report["processes"][0]["growth_span_ns"].is_null());
  EXPECT_TRUE(report["sites"][0]["growth_bytes"].is_null());
  EXPECT_TRUE(report["totals"]["growth_blocks"].is_null());
  EXPECT_EQ(growth_section(text_of(profile)), "");
}

TEST(Growth, AmongSeveralProcessesIsOfThoseThatDid) {
  Messages exited = killed_recording(1001);
  exited.back().mutable_end()->set_how(proto::End::EXIT);
  Messages later = killed_recording(1003);
  testing::add_snapshot(later, 43 * kSecond, {{204, 200'400, 1, 100}}, proto::Snapshot::POST_MORTEM);
  const Profile profile = profile_of({exited, killed_recording(1002), later});
  const json report = json_of(profile);
  // 300 of the one, and of the other, whose last 13 s began at 30 s like those of the first, 100,300.
  EXPECT_EQ(report["sites"][0]["growth_bytes"], 300 + 100'300);
  EXPECT_EQ(report["sites"][1]["growth_bytes"], 5'000 + 5'000);
  const std::string section = growth_section(text_of(profile));
  EXPECT_TRUE(contains(section, "12 s to 13 s")) << section;
  EXPECT_TRUE(contains(section, "server (1002) and server (1003)")) << section;
  EXPECT_FALSE(contains(section, "1001")) << section;
}

TEST(Growth, OfASampledRecordingHasIntervals) {
  Messages messages = killed_recording();
  messages[0].mutable_header()->set_sample_bytes(524288);
  for (proto::Message& message : messages) {
    if (!message.has_counters()) continue;
    for (auto& counters : *message.mutable_counters()->mutable_counters()) {
      const auto fill = [](proto::WeightedSum& sum, double samples) {
        sum.set_blocks(samples * 524.8);
        sum.set_bytes(samples * 524'800);
        sum.set_blocks_variance(static_cast<float>(samples * 524.3 * 524.8));
        sum.set_bytes_variance(static_cast<float>(samples * 524'300 * 524'800));
      };
      fill(*counters.mutable_alloc_estimate(), static_cast<double>(counters.alloc_blocks()));
      fill(*counters.mutable_live_estimate(), static_cast<double>(counters.alloc_blocks() - counters.free_blocks()));
    }
  }
  const Profile profile = profile_of({messages});
  const json report = json_of(profile);
  EXPECT_EQ(report["sites"][1]["growth_bytes"], 5 * 524'800);
  for (const json& row : {report["totals"], report["sites"][0], report["sites"][1]}) {
    for (const std::string key : {"growth_bytes", "growth_blocks"}) {
      const json& interval = row[key + "_interval"];
      ASSERT_EQ(interval.size(), 2u);
      EXPECT_LT(interval[0], row[key]);
      EXPECT_GT(interval[1], row[key]);
    }
  }
  // Three new samples in the one of 100 old ones, which are not in doubt: nowhere near the width of those.
  EXPECT_GT(report["sites"][0]["growth_bytes_interval"][0], -5 * 524'800);
  EXPECT_LT(report["sites"][0]["growth_bytes_interval"][1], 12 * 524'800);
  const std::string section = growth_section(text_of(profile));
  EXPECT_TRUE(contains(section, ": about +4.00 MiB (95 %: ")) << section;
}

TEST(Growth, NamesSitesThatAreNotShownByTheirFunction) {
  const std::string section = growth_section(text_of(profile_of({killed_recording()}), {.top = 1}));
  EXPECT_TRUE(contains(section, "#2  server+0x3000")) << section;
}

std::string ended_text(uint32_t signal, bool oom_killed = false) {
  Messages messages = killed_recording();
  messages.back().mutable_end()->set_signal(signal);
  messages.back().mutable_end()->set_oom_killed(oom_killed);
  const std::string text = text_of(profile_of({messages}));
  const size_t start = text.find("killed by");
  return text.substr(start, text.find('\n', start) - start);
}

TEST(Ends, SignalsAreNamed) {
  EXPECT_EQ(ended_text(9), "killed by SIGKILL");
  EXPECT_EQ(ended_text(15), "killed by SIGTERM");
  EXPECT_EQ(ended_text(11), "killed by SIGSEGV (segmentation fault)");
  EXPECT_EQ(ended_text(6), "killed by SIGABRT (aborted)");
  EXPECT_EQ(ended_text(24), "killed by SIGXCPU (CPU time limit exceeded)");
  EXPECT_EQ(ended_text(35), "killed by signal 35");
  EXPECT_EQ(ended_text(9, true), "killed by SIGKILL, by the kernel for want of memory (OOM)");
}

TEST(Ends, AnOomKillIsInTheJson) {
  Messages messages = killed_recording();
  EXPECT_EQ(json_of(profile_of({messages}))["processes"][0]["oom_killed"], false);
  messages.back().mutable_end()->set_oom_killed(true);
  EXPECT_EQ(json_of(profile_of({messages}))["processes"][0]["oom_killed"], true);
}

// Two images of a process, the first without an End, as a raw execve leaves it.
struct TwoImages {
  Messages first = killed_recording();
  Messages second = small_recording();

  TwoImages() {
    first.pop_back();
    for (Messages* image : {&first, &second}) {
      proto::Header& header = *(*image)[0].mutable_header();
      header.set_pid(4242);
      header.set_boot_id("a boot 16 bytes.");
      header.set_pid_namespace(4026531836);
      header.set_process_start_ticks(777);
      header.set_started_monotonic_ns(image == &first ? 1000 : 2000);
    }
    second[0].mutable_header()->set_recording_id("fedcba9876543210");
    second[0].mutable_header()->set_executable("/opt/demo/worker");
    second[0].mutable_header()->set_started_unix_ns(1'700'000'000'000'001'000);
  }
  proto::Header& later() { return *second[0].mutable_header(); }
  json processes() const { return json_of(profile_of({first, second}))["processes"]; }
};

TEST(Ends, AnImageThatALaterOneOfItsProcessReplacedEndedByExec) {
  const json processes = TwoImages().processes();
  EXPECT_EQ(processes[0]["ended"], "exec");
  EXPECT_EQ(processes[0]["executable"], "/opt/demo/server");
  EXPECT_EQ(processes[1]["ended"], "exit");
  EXPECT_TRUE(processes[0]["growth_span_ns"].is_null());
}

TEST(Ends, AnotherProcessOfTheSameNumberReplacesNothing) {
  const auto check = [](const char* what, const std::function<void(TwoImages&)>& change) {
    TwoImages images;
    change(images);
    EXPECT_EQ(images.processes()[0]["ended"], "unknown") << what;
  };
  check("a reused pid", [](TwoImages& images) { images.later().set_process_start_ticks(778); });
  check("another namespace", [](TwoImages& images) { images.later().set_pid_namespace(4026531999); });
  check("another boot", [](TwoImages& images) { images.later().set_boot_id("b boot 16 bytes."); });
  check("another process", [](TwoImages& images) { images.later().set_pid(4243); });
  check("the same image twice", [](TwoImages& images) { images.later().set_started_monotonic_ns(1000); });
  check("an earlier image", [](TwoImages& images) { images.later().set_started_monotonic_ns(999); });
  check("unknown boots", [](TwoImages& images) {
    images.later().clear_boot_id();
    images.first[0].mutable_header()->clear_boot_id();
  });
  check("unknown starts", [](TwoImages& images) {
    images.later().clear_process_start_ticks();
    images.first[0].mutable_header()->clear_process_start_ticks();
  });
}

TEST(Ends, SitesOfReplacedImagesStayApart) {
  TwoImages images;
  const json report = json_of(profile_of({images.first, images.second}));
  EXPECT_EQ(report["sites"][0]["live_bytes"], 100'300 + 600);
  EXPECT_EQ(report["processes"].size(), 2u);
  EXPECT_EQ(report["processes"][0]["duration_ns"], 42 * kSecond);
}

TEST(Missing, TheTailOfAProcessWhoseRegionIsGone) {
  Messages messages = killed_recording();
  messages[messages.size() - 2].mutable_snapshot()->set_kind(proto::Snapshot::INTERVAL);
  for (const bool with_end : {true, false}) {
    if (!with_end) messages.pop_back();
    const Profile profile = profile_of({messages});
    const json report = json_of(profile);
    EXPECT_EQ(report["processes"][0]["tail_lost"], true);
    EXPECT_EQ(report["coverage"]["lost_tails"], 1);
    const std::string text = text_of(profile);
    EXPECT_TRUE(contains(text,
                         "process 4242, server: what it did after its last snapshot, 42 s after its start, is lost "
                         "(one was due every 10 s)"))
        << text;
    EXPECT_TRUE(contains(text, "at the last snapshot")) << text;
    EXPECT_FALSE(contains(text, "Nothing was missed")) << text;
    EXPECT_FALSE(contains(text, "before the end")) << text;
    EXPECT_TRUE(contains(text, "up to the last snapshots every allocation")) << text;
  }
}

TEST(Missing, NoTailOfAProcessThatSaidItsLastWordOrWasReadAfterItsDeath) {
  for (const auto kind : {proto::Snapshot::EXIT, proto::Snapshot::EXEC, proto::Snapshot::POST_MORTEM}) {
    Messages messages = killed_recording();
    messages.pop_back();
    messages.back().mutable_snapshot()->set_kind(kind);
    const Profile profile = profile_of({messages});
    EXPECT_EQ(json_of(profile)["processes"][0]["tail_lost"], false);
    EXPECT_EQ(json_of(profile)["coverage"]["lost_tails"], 0);
    EXPECT_TRUE(contains(text_of(profile), "Nothing was missed"));
    EXPECT_TRUE(contains(text_of(profile), "Still live when it died"));
  }
}

TEST(Missing, NoTailOfARunningProcess) {
  Messages messages = killed_recording();
  messages.pop_back();
  messages.back().mutable_snapshot()->set_kind(proto::Snapshot::INTERVAL);
  messages[0] = testing::own_header_message();
  const json report = json_of(profile_of({messages}));
  EXPECT_EQ(report["processes"][0]["ended"], "running");
  EXPECT_EQ(report["processes"][0]["tail_lost"], false);
  EXPECT_EQ(report["processes"][0]["growth_span_ns"], 12 * kSecond);
}

TEST(Missing, WhatOnlyPrivateMemoryHeld) {
  Messages messages = killed_recording();
  messages[messages.size() - 2].mutable_snapshot()->mutable_loss()->set_unshared_records(110);
  const Profile profile = profile_of({messages});
  const json coverage = json_of(profile)["coverage"];
  EXPECT_EQ(coverage["dropped_records"], 110);
  EXPECT_EQ(coverage["fraction"], 0.5);  // 104 and 6 were recorded.
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "110 allocations: lost in private memory")) << text;
  EXPECT_TRUE(contains(text, "50 % of the allocations")) << text;
}

TEST(Missing, NearlyAllIsNotShownAsAll) {
  Messages messages = killed_recording();
  messages[messages.size() - 3].mutable_counters()->mutable_counters(0)->set_alloc_blocks(100'000'000);
  messages[messages.size() - 2].mutable_snapshot()->mutable_loss()->set_dropped_nested(1);
  const std::string text = text_of(profile_of({messages}));
  EXPECT_TRUE(contains(text, "99.99 % of the allocations")) << text;
}

TEST(Missing, WhatHappenedToSnapshotsInBetweenIsNoLoss) {
  Messages messages = killed_recording();
  proto::Snapshot& last = *messages[messages.size() - 2].mutable_snapshot();
  last.set_thinned_snapshots(120);
  last.mutable_loss()->set_failed_writes(2);
  last.mutable_loss()->set_skipped_snapshots(3);
  const Profile profile = profile_of({messages});
  EXPECT_EQ(json_of(profile)["processes"][0]["thinned_snapshots"], 120);
  EXPECT_EQ(json_of(profile)["coverage"]["failed_writes"], 2);
  const std::string text = text_of(profile);
  EXPECT_TRUE(contains(text, "Nothing was missed")) << text;
  EXPECT_TRUE(contains(text, "120 older snapshots thinned out")) << text;
  EXPECT_TRUE(contains(text, "2 snapshots could not be written whole; a later one holds what they held")) << text;
  EXPECT_TRUE(contains(text, "3 intervals passed without a snapshot")) << text;
}

TEST(TextReport, HasNoColoursUnlessAsked) {
  const Profile profile = profile_of({small_recording()});
  EXPECT_FALSE(contains(text_of(profile), "\033"));
  EXPECT_TRUE(contains(text_of(profile, {.color = true}), "\033[1m"));
}

TEST(TextReport, LetsNoNameSteerTheTerminal) {
  Messages evil = small_recording();
  evil[0].mutable_header()->set_command(0, "\033]0;owned\a");
  evil[0].mutable_header()->set_executable("/x/\033[2J");
  evil[1].mutable_modules()->mutable_modules(0)->set_path("/x/\033[31m.so");
  evil[3].mutable_counters()->mutable_thread_names(0)->set_name("\033[5m");
  const Profile profile = profile_of({evil, evil});
  EXPECT_FALSE(contains(text_of(profile), "\033"));
  EXPECT_FALSE(contains(text_of(profile, {.full = true}), "\033"));
}

TEST(Formats, AreFoundByName) {
  EXPECT_NE(find_format("text"), nullptr);
  EXPECT_NE(find_format("json"), nullptr);
  EXPECT_EQ(find_format("papyrus"), nullptr);
}

}  // namespace
}  // namespace seep
