// SPDX-License-Identifier: Apache-2.0
// Suppressions: LeakSanitizer's format, as its documentation (AddressSanitizerLeakSanitizer, Suppressions) describes
// it.
#include "leaks/suppressions.h"

#include <gtest/gtest.h>

namespace seep {
namespace {

Frame frame_of(const std::string& function, const std::string& file = "", const std::string& module = "") {
  Frame frame;
  frame.function = function;
  frame.file = file;
  frame.module = module;
  frame.named = true;
  return frame;
}

bool matches(const std::string& pattern, const std::string& function) {
  const Frame frame = frame_of(function);
  return Suppressions("leak:" + pattern).match({&frame}) != nullptr;
}

TEST(Suppressions, MatchAnywhereInAName) {
  EXPECT_TRUE(matches("parse", "parse"));
  EXPECT_TRUE(matches("parse", "json::parse(char const*)"));
  EXPECT_FALSE(matches("parse", "pars"));
  EXPECT_FALSE(matches("parse", "Parse"));
  EXPECT_FALSE(matches("parse", ""));
}

TEST(Suppressions, AsterisksStandForAnything) {
  EXPECT_TRUE(matches("json*parse", "json::parse"));
  EXPECT_TRUE(matches("json*parse", "jsonparse"));
  EXPECT_TRUE(matches("*json*::*parse*", "a::json::b::parse(int)"));
  EXPECT_FALSE(matches("json*parse", "parse_json"));
  EXPECT_FALSE(matches("aba*ba", "aba")) << "no character is used twice";
  EXPECT_TRUE(matches("*", "anything"));
}

TEST(Suppressions, AnchorsTieThemToTheEnds) {
  EXPECT_TRUE(matches("^parse", "parse_json"));
  EXPECT_FALSE(matches("^parse", "json_parse"));
  EXPECT_TRUE(matches("parse$", "json_parse"));
  EXPECT_FALSE(matches("parse$", "parse_json"));
  EXPECT_TRUE(matches("^parse$", "parse"));
  EXPECT_FALSE(matches("^parse$", "parseparse"));
  EXPECT_TRUE(matches("parse$", "parse_parse")) << "the last of several is the one that ends the name";
  EXPECT_TRUE(matches("^a*b*c$", "a-b-c"));
  EXPECT_FALSE(matches("^a*b*c$", "a-c-b"));
  EXPECT_TRUE(matches("^*c", "abc"));
  EXPECT_TRUE(matches("a*$", "abc"));
  EXPECT_FALSE(matches("^aba*ba$", "aba"));
}

TEST(Suppressions, MatchFunctionFileOrModuleOfAnyFrame) {
  const Frame inner = frame_of("inner", "/src/inner.c", "/usr/lib/libinner.so.1");
  const Frame outer = frame_of("outer", "/src/outer.c", "/usr/bin/program");
  for (const char* line : {"leak:inner", "leak:/outer.c", "leak:libinner.so", "leak:^/usr/bin/program$"}) {
    EXPECT_NE(Suppressions(line).match({&inner, &outer}), nullptr) << line;
  }
  EXPECT_EQ(Suppressions("leak:middle").match({&inner, &outer}), nullptr);
}

// What stands for a function without a name is made up here: an address that nobody could have meant.
TEST(Suppressions, DoNotMatchMadeUpNames) {
  Frame frame = frame_of("program+0x10", "", "/usr/bin/other");
  frame.named = false;
  EXPECT_EQ(Suppressions("leak:0x10").match({&frame}), nullptr);
}

TEST(Suppressions, AreLinesWithComments) {
  Suppressions suppressions("# known\n\n  leak:first  \r\n\tleak:^second$\n#leak:third\nleak:fourth");
  const Frame first = frame_of("first"), second = frame_of("second"), third = frame_of("third"),
              fourth = frame_of("fourth");
  ASSERT_NE(suppressions.match({&first}), nullptr);
  EXPECT_EQ(*suppressions.match({&first}), "first");
  EXPECT_EQ(*suppressions.match({&second}), "^second$");
  EXPECT_EQ(suppressions.match({&third}), nullptr);
  EXPECT_EQ(*suppressions.match({&fourth}), "fourth");
  EXPECT_EQ(suppressions.unknown_lines(), 0u);
  EXPECT_TRUE(Suppressions("\n# nothing\n").empty());
}

TEST(Suppressions, OfOtherKindsSuppressNothingAndAreCounted) {
  const Frame frame = frame_of("first");
  Suppressions suppressions("race:first\nleak:\nfirst\nleak first\n");
  EXPECT_EQ(suppressions.match({&frame}), nullptr);
  EXPECT_EQ(suppressions.unknown_lines(), 4u);
}

TEST(Suppressions, TakeAnyBytes) {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text += std::string("leak:") + static_cast<char>(byte) + "*^$*$^\n";
  const Frame frame = frame_of(text);
  (void)Suppressions(text).match({&frame});
  EXPECT_EQ(Suppressions("leak:^$").match({&frame}), nullptr);
}

}  // namespace
}  // namespace seep
