// SPDX-License-Identifier: Apache-2.0
#include "record/region.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "test_region.h"

namespace seep {
namespace {

TEST(Region, EntriesAreZeroAlignedAndApart) {
  TestRegion region;
  ASSERT_TRUE(region.get().valid());
  Ref last = 0;
  for (int i = 0; i < 10'000; ++i) {
    const Ref ref = region.get().allocate(100);
    ASSERT_NE(ref, 0u);
    ASSERT_GE(ref, last + (last == 0 ? 0 : 7));  // 100 bytes are 7 units.
    char* bytes = region.get().at<char>(ref);
    for (int at = 0; at < 100; ++at) ASSERT_EQ(bytes[at], 0);
    memset(bytes, 0x55, 100);
    last = ref;
  }
}

TEST(Region, RefusesWhatDoesNotFitAndStaysWhole) {
  TestRegion region(1 << 20);
  ASSERT_TRUE(region.get().valid());
  unsigned fitted = 0;
  while (region.get().allocate(4096) != 0) ++fitted;
  EXPECT_GT(fitted, 200u);
  EXPECT_LE(region.get().header().used_bytes.load(), 1u << 20);
  EXPECT_LE(region.get().header().committed_bytes.load(), 1u << 20);
  EXPECT_EQ(region.get().allocate(4096), 0u);
}

TEST(Region, IsNotMadeWhereNothingFits) {
  TestRegion region(4096);
  EXPECT_FALSE(region.get().valid());
}

TEST(Region, AFileIsPrivateSparseAndNeverSomebodyElses) {
  const std::string path = "/dev/shm/seep-region-test." + std::to_string(getpid());
  {
    TestRegion region(1 << 30, false, path.c_str());
    ASSERT_TRUE(region.get().valid());
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_EQ(status.st_size, 1 << 30);
    EXPECT_LT(status.st_blocks * 512, 1 << 20);
    TestRegion second(1 << 30, false, path.c_str());  // The name is taken.
    EXPECT_FALSE(second.get().valid());
  }
  unlink(path.c_str());
}

// A child with a limit on file size: growing a file past it would raise SIGXFSZ, which kills.
TEST(Region, AFileBeyondTheLimitIsRefusedAndLeavesNothing) {
  const std::string path = "/dev/shm/seep-region-limit." + std::to_string(getpid());
  const auto in_child = [&path] {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    const RegionPlan plan{8 << 20, path.c_str(), nullptr, 0};
    _exit(make_region(plan).valid() ? 1 : access(path.c_str(), F_OK) == 0 ? 2 : 0);
  };
  EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "");
}

TEST(Region, ThreadsNeverGetTheSameSpace) {
  TestRegion region;
  constexpr int kThreads = 4, kEach = 20'000;
  std::vector<std::vector<Ref>> refs(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) refs[t].push_back(region.get().allocate(32));
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<Ref> all;
  for (const auto& some : refs) all.insert(some.begin(), some.end());
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kEach));
  EXPECT_EQ(all.count(0), 0u);
}

}  // namespace
}  // namespace seep
