// SPDX-License-Identifier: Apache-2.0
#include "record/memory_room.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace seep {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// A made-up /proc/self/cgroup and /sys/fs/cgroup.
class MemoryRoom : public testing::Test {
 protected:
  MemoryRoom() {
    char pattern[] = "/tmp/seep-cgroup-test.XXXXXX";
    directory = mkdtemp(pattern);
  }
  ~MemoryRoom() override { std::filesystem::remove_all(directory); }

  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = directory + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void put_version2(const std::string& cgroup, const std::string& max, uint64_t current, uint64_t file = 0) const {
    put("/sys" + cgroup + "/memory.max", max + "\n");
    put("/sys" + cgroup + "/memory.current", std::to_string(current) + "\n");
    put("/sys" + cgroup + "/memory.stat", "anon 1\nfile 99999999\ninactive_anon 7\nactive_anon 7\ninactive_file " +
                                              std::to_string(file / 2) + "\nactive_file " + std::to_string(file / 2) +
                                              "\nslab 1\n");
  }
  [[nodiscard]] bool has_room(uint64_t bytes) const {
    return cgroup_has_room((directory + "/self").c_str(), (directory + "/sys").c_str(), bytes);
  }

  std::string directory;
};

TEST_F(MemoryRoom, WhereNothingCanBeReadThereIsRoom) {
  EXPECT_TRUE(has_room(1 << 30));
  put("/self", "0::/service\n");
  EXPECT_TRUE(has_room(1 << 30));
  put("/self", "nonsense");
  EXPECT_TRUE(has_room(1 << 30));
}

TEST_F(MemoryRoom, ALimitLeavesWhatIsNotUsedButForAReserve) {
  put("/self", "0::/service\n");
  put_version2("/service", std::to_string(128 * kMiB), 100 * kMiB);
  EXPECT_TRUE(has_room(24 * kMiB));  // The reserve is 4 MiB.
  EXPECT_FALSE(has_room(24 * kMiB + 1));
  put_version2("/service", std::to_string(16 * kMiB), 12 * kMiB);
  EXPECT_TRUE(has_room(3 * kMiB));  // A sixteenth.
  EXPECT_FALSE(has_room(3 * kMiB + 1));
  put_version2("/service", "max", 100 * kMiB);
  EXPECT_TRUE(has_room(1 << 30));
}

TEST_F(MemoryRoom, UsageAboveTheLimitIsNoRoom) {
  put("/self", "0::/service\n");
  put_version2("/service", std::to_string(10 * kMiB), 12 * kMiB);
  EXPECT_FALSE(has_room(1));
}

TEST_F(MemoryRoom, ThePageCacheIsGivenUpFirst) {
  put("/self", "0::/service\n");
  put_version2("/service", std::to_string(128 * kMiB), 128 * kMiB, 50 * kMiB);
  EXPECT_TRUE(has_room(46 * kMiB));
  EXPECT_FALSE(has_room(46 * kMiB + 1));
}

TEST_F(MemoryRoom, AnyAncestorMayBeTheLimit) {
  put("/self", "0::/pod/container/inner\n");
  put_version2("/pod/container/inner", "max", 1);
  put_version2("/pod", std::to_string(64 * kMiB), 60 * kMiB);
  EXPECT_FALSE(has_room(kMiB));
  put_version2("/pod", std::to_string(64 * kMiB), 30 * kMiB);
  EXPECT_TRUE(has_room(kMiB));
}

// Inside a container /proc names a path of the host that is not mounted; the mount's root is the container's own.
TEST_F(MemoryRoom, APathOfAnotherNamespaceFallsBackToTheMount) {
  put("/self", "0::/system.slice/docker-0123.scope\n");
  put_version2("", std::to_string(32 * kMiB), 31 * kMiB);
  EXPECT_FALSE(has_room(kMiB));
}

TEST_F(MemoryRoom, VersionOneIsUnderstood) {
  put("/self", "5:cpu,memory,pids:/jobs/a\n0::/\n");
  put("/sys/memory/jobs/a/memory.limit_in_bytes", std::to_string(128 * kMiB));
  put("/sys/memory/jobs/a/memory.usage_in_bytes", std::to_string(128 * kMiB));
  put("/sys/memory/jobs/a/memory.stat",
      "cache 0\ninactive_file 999999999\ntotal_inactive_file " + std::to_string(20 * kMiB) + "\ntotal_active_file 0\n");
  EXPECT_TRUE(has_room(16 * kMiB));
  EXPECT_FALSE(has_room(16 * kMiB + 1));
  put("/sys/memory/jobs/a/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_TRUE(has_room(1 << 30));
  put("/self", "5:memoryhog:/jobs/a\n");
  put("/sys/memory/jobs/a/memory.limit_in_bytes", "1");
  EXPECT_TRUE(has_room(1 << 30));
}

TEST_F(MemoryRoom, PathsBeyondAnyBoundAreRoom) {
  put("/self", "0::/" + std::string(3000, 'a') + "\n");
  EXPECT_TRUE(has_room(1 << 30));
}

}  // namespace
}  // namespace seep
