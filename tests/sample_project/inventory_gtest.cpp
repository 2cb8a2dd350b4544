// SPDX-License-Identifier: Apache-2.0
// The same with GoogleTest: each test is judged for itself. Its main is gtest_main's.
#include <gtest/gtest.h>
#include <seep/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "inventory.h"

// What leaks once only is nobody's, if it is done before.
static void warm_up() {
  if (std::getenv("SAMPLE_WARMS_UP") != nullptr) inventory::connect();
}

const bool leaks_are_checked = seep::gtest::install({warm_up});

namespace {

void* volatile lost;

// Of a size that nothing else here has: where a block was before, freed memory may still hold a pointer.
void __attribute__((noinline)) lose(std::size_t bytes) {
  lost = std::calloc(1, bytes);
  lost = nullptr;
}

TEST(Inventory, Counts) { EXPECT_EQ(inventory::add("nut"), 1u); }

TEST(Inventory, FindsAndLeaks) {
  inventory::add(std::string(2000, 'b'));
  EXPECT_TRUE(inventory::find(std::string(2000, 'B')));
}

TEST(Inventory, FillsACache) {
  for (int article = 0; article < 100; ++article) inventory::add("article " + std::to_string(article));
}

TEST(Inventory, ConnectsOnce) { inventory::connect(); }

class WithFixture : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    lose(10000);
    shared = new std::vector<int>(100);
  }
  static void TearDownTestSuite() { delete shared; }
  void SetUp() override { held = std::make_unique<std::string>(200, 'x'); }
  static std::vector<int>* shared;
  std::unique_ptr<std::string> held;
};
std::vector<int>* WithFixture::shared;

TEST_F(WithFixture, IsClean) { EXPECT_EQ(held->size() + shared->size(), 300u); }

class Sized : public testing::TestWithParam<int> {};

TEST_P(Sized, LeaksWhereItIsOdd) {
  if (GetParam() % 2 != 0) lose(static_cast<std::size_t>(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, Sized, testing::Range(3000, 3004));

TEST(Failing, IsNotToldOfTwice) {
  lose(7700);
  if (std::getenv("SAMPLE_FAILS") != nullptr) FAIL() << "for its own reason";
}

TEST(Skipped, IsLeftAlone) {
  lose(8800);
  GTEST_SKIP();
}

TEST(Death, OfAChildIsNotLookedAt) {
  EXPECT_EXIT(
      {
        lose(9900);
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
