// SPDX-License-Identifier: Apache-2.0
#include "record/region.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "encoded_stream.h"
#include "record/region_check.h"
#include "record/trace_table.h"
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

// ---- A file system that is full: the entries go on in private memory, and none of the file leads there.

constexpr int kNoNamespace = 77;  // Exit status: this machine does not let us mount a small file system.
constexpr uint64_t kSmallBytes = 1 << 20;

bool mount_small_tmpfs(const char* place) {
  const std::string size = "size=" + std::to_string(kSmallBytes);
  return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", place, "tmpfs", 0, size.c_str()) == 0;
}

void count_allocation_in(Region region, Ref trace, unsigned shard) {
  const TraceTable table(region);
  CounterBlock* counters = table.shard(*region.at<Trace>(trace), shard);
  if (counters != nullptr) count_allocation(*counters, 8, 0, nullptr);
  else table.count_late_allocation(*region.at<Trace>(trace), 8);
}

Ref allocate_trace(Region region, uint64_t number) {
  Frame frames[60];
  for (uint64_t i = 0; i < std::size(frames); ++i) frames[i] = make_frame(1, number * 100 + i);
  TraceTable table(region);
  const Ref ref = table.find_or_insert(frames, std::size(frames), Cut::kWhole, 1);
  if (ref == 0) return 0;
  // From a second thread, too: its counters come when they are needed, and perhaps from the other part.
  for (const unsigned shard : {0u, 1u}) count_allocation_in(region, ref, shard);
  if (region.part_of(ref) != 0) add(region.header().private_alloc_blocks, 2);
  return ref;
}

// 0, or the line that says what is wrong.
int fill_small_file_system() {
#define SEEP_CHECK(condition) \
  if (!(condition)) return __LINE__ % 200 + 1
  const char* place = "/mnt";
  if (!mount_small_tmpfs(place)) return kNoNamespace;
  TestRegion owner(64 << 20, false, "/mnt/region");
  const Region region = owner.get();
  SEEP_CHECK(region.valid());
  RegionHeader& header = region.header();
  header.ready = 1;
  unsigned shared = 0;
  const unsigned kTraces = 4000;
  for (unsigned number = 0; number < kTraces; ++number) {
    const Ref ref = allocate_trace(region, number);
    SEEP_CHECK(ref != 0);
    const uint64_t begin = uint64_t{ref} * kRefUnitBytes;
    const uint64_t end = begin + sizeof(Trace) + header.counters_bytes + 60 * sizeof(Frame);
    const uint64_t from = header.private_from_bytes.load();
    SEEP_CHECK(from == 0 || begin >= from || end <= from);
    shared += region.part_of(ref) == 0;
  }
  SEEP_CHECK(shared > 500 && shared < kTraces && header.private_from_bytes.load() <= kSmallBytes);
  // The first trace, which is in the file, gets a third shard now: not from private memory.
  TraceTable table(region);
  Ref oldest = header.newest[0].trace.load();
  while (region.at<Trace>(oldest)->next_older != 0) oldest = region.at<Trace>(oldest)->next_older;
  SEEP_CHECK(table.shard(*region.at<Trace>(oldest), 3) == nullptr);
  count_allocation_in(region, oldest, 3);
  // As somebody outside sees it.
  std::vector<char> copy(header.private_from_bytes.load());
  const std::string file = contents_of("/mnt/region");
  SEEP_CHECK(file.size() >= copy.size());
  memcpy(copy.data(), file.data(), copy.size());
  const RegionCheck check = check_region(copy.data(), copy.size());
  SEEP_CHECK(check.usable && *check.problem == '\0');
  EncodedStream stream;
  auto scratch = std::make_unique<EncoderScratch>();
  SEEP_CHECK(encode_snapshot(Region(copy.data()), *scratch, stream.sink(), SnapshotKind::kPostMortem, 1, nullptr));
  const auto snapshot = stream.messages().back().snapshot();
  SEEP_CHECK(snapshot.traces() == shared && snapshot.alloc_blocks() == 2 * shared + 1);
  SEEP_CHECK(snapshot.loss().unshared_records() == 2 * (kTraces - shared));
  // And as the process itself sees it: everything.
  stream.bytes.clear();
  SEEP_CHECK(encode_snapshot(region, *scratch, stream.sink(), SnapshotKind::kExit, 1, nullptr));
  SEEP_CHECK(stream.messages().back().snapshot().alloc_blocks() == 2 * kTraces + 1);
  SEEP_CHECK(stream.messages().back().snapshot().loss().unshared_records() == 0);
  return 0;
#undef SEEP_CHECK
}

TEST(Region, WhereTheFileCannotGrowPrivateMemoryTakesOver) {
  const pid_t child = fork();
  if (child == 0) _exit(fill_small_file_system());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "not run: no right to mount a small file system";
  EXPECT_EQ(WEXITSTATUS(status), 0);
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
