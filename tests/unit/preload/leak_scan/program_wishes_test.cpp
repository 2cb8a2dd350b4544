// SPDX-License-Identifier: Apache-2.0
//
// What the program says about leak checks: this one says so, and a sanitizer that it is built with hears it, too.
#include "preload/leak_scan/program_wishes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace {

constinit const char* suppressions = "";
constinit int turned_off = 0;

}  // namespace

extern "C" const char* __lsan_default_suppressions() { return suppressions; }
extern "C" int __lsan_is_turned_off() { return turned_off; }

namespace seep::leak_scan {
namespace {

std::string copied(const char* text, size_t most_bytes) {
  std::string room(most_bytes + 8, '#');
  suppressions = text;
  const size_t bytes = copy_default_suppressions(room.data(), most_bytes);
  suppressions = "";
  EXPECT_EQ(room.substr(most_bytes), "########") << "written behind its end";
  EXPECT_EQ(room[bytes], '\0');
  return room.substr(0, bytes);
}

TEST(ProgramWishesTest, CopiesAllThatFits) {
  EXPECT_EQ(copied("", 10), "");
  EXPECT_EQ(copied("leak:a\n", 10), "leak:a\n");
  EXPECT_EQ(copied("leak:a\nleak:b", 14), "leak:a\nleak:b");
}

TEST(ProgramWishesTest, CopiesWholeLinesWhereNotAllFits) {
  EXPECT_EQ(copied("leak:a\nleak:b\n", 14), "leak:a\n");
  EXPECT_EQ(copied("leak:a\nleak:b", 13), "leak:a\n");
  EXPECT_EQ(copied("leak:a\nleak:b", 8), "leak:a\n");
  EXPECT_EQ(copied("leak:a\nleak:b", 7), "");
  EXPECT_EQ(copied("leak:a\n", 1), "");
}

TEST(ProgramWishesTest, AProgramMaySayNothing) { EXPECT_EQ(copied(nullptr, 10), ""); }

TEST(ProgramWishesTest, AsksTheProgramWhetherChecksAreWanted) {
  EXPECT_FALSE(is_turned_off());
  turned_off = 1;
  EXPECT_TRUE(is_turned_off());
  turned_off = 0;
}

}  // namespace
}  // namespace seep::leak_scan
