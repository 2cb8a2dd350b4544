// SPDX-License-Identifier: Apache-2.0
#include "record/module_table.h"

#include <gtest/gtest.h>

#include "test_region.h"

namespace seep {
namespace {

constexpr uint8_t kIdA[] = {1, 2, 3}, kIdB[] = {1, 2, 4};

TEST(ModuleTable, AModuleIsItsBoundsBuildIdAndPath) {
  TestRegion region;
  const ModuleFacts facts{0x1000, 0x1000, 0x2000, kIdA, 3, "/lib/a.so"};
  EXPECT_EQ(find_module(region.get(), facts), 0u);
  const uint32_t id = add_module(region.get(), facts, 11, 22);
  EXPECT_EQ(id, 1u);
  EXPECT_EQ(find_module(region.get(), facts), id);
  ModuleFacts other = facts;
  other.build_id = kIdB;
  EXPECT_EQ(find_module(region.get(), other), 0u);
  other = facts;
  other.start += 0x1000;
  EXPECT_EQ(find_module(region.get(), other), 0u);
  other = facts;
  other.path = "/lib/a.s";
  EXPECT_EQ(find_module(region.get(), other), 0u);
}

TEST(ModuleTable, ALongPathIsCutAndNotOverrun) {
  TestRegion region;
  const std::string path(10'000, 'x');
  EXPECT_NE(add_module(region.get(), {0, 0x1000, 1, kIdA, 3, path.c_str()}, 0, 0), 0u);
  Module& module = *region.get().at<Module>(region.get().header().newest[0].module.load());
  EXPECT_EQ(strlen(module.path()), 4095u);
}

TEST(ModuleTable, NumbersEndWhereFramesCannotHoldThem) {
  TestRegion region;
  region.get().header().module_count.store(0xFFFF);
  EXPECT_EQ(add_module(region.get(), {0, 0x1000, 1, kIdA, 3, "/a"}, 0, 0), 0u);
}

TEST(ThreadNames, EachNameHasOneNumber) {
  TestRegion region;
  const char worker[kThreadNameBytes] = "worker", other[kThreadNameBytes] = "worker/2";
  const uint16_t id = find_or_add_thread_name(region.get(), worker);
  EXPECT_NE(id, 0);
  EXPECT_EQ(find_or_add_thread_name(region.get(), worker), id);
  EXPECT_NE(find_or_add_thread_name(region.get(), other), id);
}

}  // namespace
}  // namespace seep
