// SPDX-License-Identifier: Apache-2.0
#include "preload/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

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

}  // namespace
}  // namespace seep
