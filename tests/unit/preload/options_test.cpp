// SPDX-License-Identifier: Apache-2.0
#include "preload/options.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <string>
#include <vector>

#include "preload/leak_scan/heuristics.h"

namespace seep {
namespace {

struct Parsed {
  Options options;
  std::vector<std::string> complaints;
};

Parsed parse(const char* text) {
  Parsed parsed;
  parse_options(
      parsed.options, text,
      [](void* context, const char* key, const char* value) {
        static_cast<Parsed*>(context)->complaints.push_back(std::string(key) + (value ? std::string("=") + value : ""));
      },
      &parsed);
  return parsed;
}

TEST(Options, DefaultsAreThoseOfTheContract) {
  const Parsed parsed = parse(nullptr);
  EXPECT_EQ(parsed.options.sample_bytes, 512u << 10);
  EXPECT_EQ(parsed.options.interval_ns, 10'000'000'000u);
  EXPECT_EQ(parsed.options.depth, 128u);
  EXPECT_EQ(parsed.options.max_memory_bytes, 64u << 20);
  EXPECT_STREQ(parsed.options.out, "seep.%e.%p/%e.%p.seep");
  EXPECT_TRUE(parsed.complaints.empty());
}

TEST(Options, ExactModeHasNoMemoryLimitUnlessGiven) {
  EXPECT_EQ(parse("sample=1").options.max_memory_bytes, 0u);
  EXPECT_EQ(parse("sample=1:max_memory=8m").options.max_memory_bytes, 8u << 20);
  EXPECT_TRUE(parse("sample=1").options.exact());
}

TEST(Options, AColonIsEscaped) { EXPECT_STREQ(parse("out=/a\\:b/%p.seep:depth=7").options.out, "/a:b/%p.seep"); }

TEST(Options, TheLastOfAKeyCounts) { EXPECT_EQ(parse("depth=7:depth=9").options.depth, 9u); }

TEST(Options, WhatIsWrongIsNamedAndTheRestHolds) {
  const Parsed parsed = parse("smaple=1:depth=x:interval=5ms::seed=3");
  EXPECT_EQ(parsed.complaints, (std::vector<std::string>{"smaple", "depth=x"}));
  EXPECT_EQ(parsed.options.interval_ns, 5'000'000u);
  EXPECT_EQ(parsed.options.seed, 3u);
  EXPECT_EQ(parsed.options.depth, 128u);
}

TEST(Options, OfAValueThatIsNoGoodNothingIsTaken) {
  const Options defaults = parse(nullptr).options;
  for (const char* bad :
       {"interval=0", "interval=99999999999999h", "scan_limit=0", "max_stream=9999999999t", "max_stream=8x",
        "max_memory=8kb", "seed=8x", "seed=99999999999999999999", "sample=8x", "sample=0", "depth=8x"}) {
    const Parsed parsed = parse(bad);
    EXPECT_EQ(parsed.complaints, std::vector<std::string>{bad});
    EXPECT_EQ(parsed.options.interval_ns, defaults.interval_ns) << bad;
    EXPECT_EQ(parsed.options.scan_limit_ns, defaults.scan_limit_ns) << bad;
    EXPECT_EQ(parsed.options.max_stream_bytes, defaults.max_stream_bytes) << bad;
    EXPECT_EQ(parsed.options.max_memory_bytes, defaults.max_memory_bytes) << bad;
    EXPECT_EQ(parsed.options.seed, defaults.seed) << bad;
    EXPECT_EQ(parsed.options.sample_bytes, defaults.sample_bytes) << bad;
    EXPECT_EQ(parsed.options.depth, defaults.depth) << bad;
  }
}

TEST(Options, OverlongValuesAreRefusedNotCut) {
  const std::string text = "out=" + std::string(3000, 'x');
  EXPECT_EQ(parse(text.c_str()).complaints.size(), 1u);
  EXPECT_STREQ(parse(text.c_str()).options.out, "seep.%e.%p/%e.%p.seep");
}

TEST(Options, BytesAndDurations) {
  uint64_t value = 0;
  EXPECT_TRUE(parse_bytes("512k", value) && value == 512u << 10);
  EXPECT_TRUE(parse_bytes("3G", value) && value == uint64_t{3} << 30);
  EXPECT_TRUE(parse_bytes("17", value) && value == 17);
  for (const char* bad : {"", "k", "1kb", "-1", "99999999999999999999", "9999999999t"}) {
    EXPECT_FALSE(parse_bytes(bad, value)) << bad;
  }
  EXPECT_TRUE(parse_duration("10", value) && value == 10'000'000'000);
  EXPECT_TRUE(parse_duration("250ms", value) && value == 250'000'000);
  EXPECT_TRUE(parse_duration("2h", value) && value == uint64_t{7200} * 1'000'000'000);
  for (const char* bad : {"", "s", "0", "5d", "99999999999999h"}) EXPECT_FALSE(parse_duration(bad, value)) << bad;
}

TEST(Options, AnExactRecordingIsScannedAtExitASampledOneOnRequest) {
  EXPECT_EQ(parse(nullptr).options.scan, Options::Scan::kRequest);
  EXPECT_EQ(parse("sample=1").options.scan, Options::Scan::kExit);
  EXPECT_EQ(parse("scan=exit").options.scan, Options::Scan::kExit);
  EXPECT_EQ(parse("scan=request:sample=1").options.scan, Options::Scan::kRequest);
  EXPECT_EQ(parse("sample=1:scan=off").options.scan, Options::Scan::kOff);
  for (const char* bad : {"scan=", "scan=no", "scan=exit,request", "scan"}) {
    EXPECT_EQ(parse(bad).complaints.size(), 1u) << bad;
    EXPECT_EQ(parse(bad).options.scan, Options::Scan::kRequest) << bad;
  }
}

TEST(Options, AScanHasALimit) {
  EXPECT_EQ(parse(nullptr).options.scan_limit_ns, 2'000'000'000u);
  EXPECT_EQ(parse("scan_limit=1500ms").options.scan_limit_ns, 1'500'000'000u);
  EXPECT_EQ(parse("scan_limit=3").options.scan_limit_ns, 3'000'000'000u);
  EXPECT_EQ(parse("scan_limit=0").complaints, std::vector<std::string>{"scan_limit=0"});
  EXPECT_EQ(parse("scan_limit=0").options.scan_limit_ns, 2'000'000'000u);
}

TEST(Options, ASignalIsNamedOrNumbered) {
  EXPECT_EQ(parse(nullptr).options.scan_signal, 0);
  EXPECT_EQ(parse("scan_signal=USR1").options.scan_signal, SIGUSR1);
  EXPECT_EQ(parse("scan_signal=SIGUSR2").options.scan_signal, SIGUSR2);
  EXPECT_EQ(parse(("scan_signal=" + std::to_string(SIGWINCH)).c_str()).options.scan_signal, SIGWINCH);
  EXPECT_EQ(parse("scan_signal=34").options.scan_signal, 34);
  EXPECT_EQ(parse("scan_signal=64").options.scan_signal, 64);
}

// Those that end a process whatever it does, that mean a fault, that libc uses itself, and what is none.
TEST(Options, NotEverySignalMayAskForAScan) {
  for (const char* bad : {"KILL", "STOP", "SEGV", "CHLD", "usr1", "SIG", "", "0", "9", "11", "32", "33", "65", "10x",
                          "-10", "4294967306"}) {
    const Parsed parsed = parse((std::string("scan_signal=") + bad).c_str());
    EXPECT_EQ(parsed.complaints.size(), 1u) << bad;
    EXPECT_EQ(parsed.options.scan_signal, 0) << bad;
  }
}

TEST(Options, HeuristicsAreNamedAsValgrindNamesThem) {
  using namespace leak_scan;
  EXPECT_EQ(parse(nullptr).options.heuristics, kAllHeuristics);
  EXPECT_EQ(parse("scan_heuristics=none").options.heuristics, kNoHeuristic);
  EXPECT_EQ(parse("scan_heuristics=none:scan_heuristics=all").options.heuristics, kAllHeuristics);
  EXPECT_EQ(parse("scan_heuristics=stdstring").options.heuristics, kStdString);
  EXPECT_EQ(parse("scan_heuristics=length64").options.heuristics, kLength64);
  EXPECT_EQ(parse("scan_heuristics=newarray").options.heuristics, kNewArray);
  EXPECT_EQ(parse("scan_heuristics=multipleinheritance").options.heuristics, kMultipleInheritance);
  EXPECT_EQ(parse("scan_heuristics=newarray,stdstring").options.heuristics, kNewArray | kStdString);
  for (const char* bad : {"", ",", "stdstring,", ",stdstring", "stdstring,newarry", "std", "stdstring newarray"}) {
    const Parsed parsed = parse((std::string("scan_heuristics=") + bad).c_str());
    EXPECT_EQ(parsed.complaints.size(), 1u) << bad;
    EXPECT_EQ(parsed.options.heuristics, kAllHeuristics) << bad;
  }
}

}  // namespace
}  // namespace seep
