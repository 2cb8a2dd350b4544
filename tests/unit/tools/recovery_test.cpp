// SPDX-License-Identifier: Apache-2.0
// What is left of processes: whether one still lives, its region seen from outside, what of it goes into its stream,
// and what is removed. Regions are made as the observed process makes them, in files; a /proc of our own stands for
// processes that a test cannot have.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "record/trace_table.h"
#include "recording/process_liveness.h"
#include "recording/process_maps.h"
#include "recording/recording.h"
#include "recording/region_search.h"
#include "test_streams.h"

namespace seep {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryDirectory;

constexpr uint64_t kForeignNamespace = 4026532999;

void fill_boot_id(Identity& identity) {
  const std::string boot_id = this_boot_id();
  std::memcpy(identity.boot_id, boot_id.data(), std::min(boot_id.size(), sizeof identity.boot_id));
}

// A region as an observed process makes it. Mapped as long as the object lives; the file stays.
class MadeRegion {
 public:
  explicit MadeRegion(const std::string& path, const std::string& stream_path = "", char id = 'a')
      : path_(path), region_(make_region({kCapacityBytes, path.c_str(), nullptr, 0})) {
    RegionHeader& header = region_.header();
    header.counters_bytes = kExactCounterBytes;
    header.sample_bytes.store(1);
    Identity& identity = header.identity;
    std::memset(identity.recording_id, id, sizeof identity.recording_id);
    fill_boot_id(identity);
    identity.sample_bytes = 1;
    identity.pid = static_cast<uint32_t>(getpid());
    identity.pid_namespace = this_pid_namespace();
    std::strncpy(identity.region_path, path.c_str(), sizeof identity.region_path - 1);
    std::strncpy(identity.stream_path, stream_path.c_str(), sizeof identity.stream_path - 1);
    header.ready.store(1);
  }
  ~MadeRegion() { unmap(); }
  MadeRegion(const MadeRegion&) = delete;
  MadeRegion& operator=(const MadeRegion&) = delete;

  void unmap() {
    if (region_.valid()) munmap(&region_.header(), kCapacityBytes);
    region_ = Region();
  }
  const std::string& path() const { return path_; }
  RegionHeader& header() const { return region_.header(); }
  Region get() const { return region_; }

  // One block of a size at a place of the program that is told by a number.
  void allocate(uint64_t place, uint64_t bytes) const {
    const Frame frames[2] = {make_frame(0, 0x1000 + place), make_frame(0, 0x1000)};
    const TraceTable table(region_);
    const Ref ref = table.find_or_insert(frames, 2, Cut::kWhole, 5);
    Trace& trace = *region_.at<Trace>(ref);
    count_allocation(table.shard(trace, 0), bytes, 5, nullptr);
    table.note_allocation(trace, 7, 0);
  }

 private:
  static constexpr uint64_t kCapacityBytes = 8 << 20;
  std::string path_;
  Region region_;
};

// /proc as some processes would be seen in it.
class MadeProc {
 public:
  explicit MadeProc(uint64_t pid_namespace) {
    view_ = {.proc = directory_.path(), .boot_id = this_boot_id(), .pid_namespace = pid_namespace};
  }
  const Viewpoint& view() const { return view_; }

  void add(const std::string& pid, const std::string& maps, const std::string& stat = "") const {
    fs::create_directories(directory_.path(pid));
    directory_.write(pid + "/maps", maps);
    directory_.write(pid + "/stat", stat);
  }
  // As the kernel does it with EACCES: here what cannot be read is a directory, since root may read all files.
  void add_unreadable(const std::string& pid, const std::string& stat, const std::string& status = "") const {
    fs::create_directories(directory_.path(pid + "/maps"));
    directory_.write(pid + "/stat", stat);
    directory_.write(pid + "/status", status);
  }

 private:
  TemporaryDirectory directory_;
  Viewpoint view_;
};

std::string stat_line(char state, int threads, uint64_t start_ticks) {
  return "42 (a )b( c) " + std::string(1, state) + " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 " + std::to_string(threads) +
         " 0 " + std::to_string(start_ticks) + " 1000 10\n";
}

std::string maps_line(const std::string& path, const std::string& device = "fe:01", uint64_t inode = 99) {
  return "7f0000000000-7f0000100000 rw-s 00000000 " + device + " " + std::to_string(inode) + "    " + path + "\n";
}

RegionFacts facts_of(uint32_t pid, uint64_t pid_namespace, const std::string& path = "/dev/shm/seep.42.abc.region") {
  RegionFacts facts;
  facts.path = path;
  facts.inode = 1234;
  facts.ready = true;
  facts.identity.pid = pid;
  facts.identity.pid_namespace = pid_namespace;
  facts.identity.process_start_ticks = 777;
  fill_boot_id(facts.identity);
  std::strncpy(facts.identity.region_path, path.c_str(), sizeof facts.identity.region_path - 1);
  facts.read_at = std::chrono::steady_clock::now();
  return facts;
}

Liveness judged(const MadeProc& proc, const RegionFacts& facts) { return LivenessJudge(proc.view()).judge(facts); }

TEST(ProcessMaps, AreTakenApart) {
  const MadeProc proc(1);
  proc.add("42",
           "55e0-55f0 r--p 00001000 08:02 173521    /opt/a b/server\n"
           "7ff0-7fff rw-p 00000000 00:00 0 \n"
           "8000-9000 rw-s 00000000 00:1a 7      /dev/shm/seep.1.ff.region (deleted)\n"
           "a000-b000 ---s 00000000 00:1a 8      /tmp/line\\012feed\n"
           "b000-c000 rw-p 00000000 00:00 0      [stack]\n");
  const ProcessMaps maps = read_maps(proc.view().proc, "42");
  ASSERT_EQ(maps.state, ProcessMaps::State::kRead);
  ASSERT_EQ(maps.mappings.size(), 5u);
  EXPECT_EQ(maps.mappings[0].path, "/opt/a b/server");
  EXPECT_EQ(maps.mappings[0].device_major, 8u);
  EXPECT_EQ(maps.mappings[0].inode, 173521u);
  EXPECT_FALSE(maps.mappings[0].writable);
  EXPECT_TRUE(maps.mappings[1].path.empty());
  EXPECT_EQ(maps.mappings[2].path, "/dev/shm/seep.1.ff.region");
  EXPECT_TRUE(maps.mappings[2].removed);
  EXPECT_EQ(maps.mappings[2].device_minor, 0x1au);
  EXPECT_EQ(maps.mappings[3].path, "/tmp/line\nfeed");
  EXPECT_EQ(maps.mappings[3].start, 0xa000u);
  EXPECT_FALSE(maps.mappings[3].readable);
  EXPECT_TRUE(maps.mappings[4].path.empty());
  EXPECT_EQ(read_maps(proc.view().proc, "43").state, ProcessMaps::State::kGone);
}

TEST(Liveness, AnotherBootIsDeadWhateverHasItsPidNow) {
  const MadeProc proc(kInitialPidNamespace);
  RegionFacts facts = facts_of(42, kInitialPidNamespace);
  proc.add("42", maps_line(facts.path));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive);
  facts.identity.boot_id[3] ^= 1;
  EXPECT_EQ(judged(proc, facts), Liveness::kDead);
}

TEST(Liveness, InTheSameNamespaceTheMapsDecide) {
  const MadeProc proc(kForeignNamespace);
  const RegionFacts facts = facts_of(42, kForeignNamespace);
  EXPECT_EQ(judged(proc, facts), Liveness::kDead) << "no such process";
  proc.add("42", maps_line("/usr/lib/libc.so.6"), stat_line('S', 1, 777));
  EXPECT_EQ(judged(proc, facts), Liveness::kDead) << "the image was replaced, or the pid is another's";
  proc.add("42", maps_line("/usr/lib/libc.so.6") + maps_line("/container/shm/seep.42.abc.region", "00:99", 5));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive) << "by name, whatever the device";
  proc.add("42", maps_line("/dev/shm/renamed", "00:00", 1234));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive) << "by device and inode, whatever the name";
  proc.add("42", maps_line("/dev/shm/seep.42.abc.region (deleted)"));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive) << "its file was removed while it runs";
  proc.add("42", maps_line("/dev/shm/seep.42.abcd.region"));
  EXPECT_EQ(judged(proc, facts), Liveness::kDead) << "another's region";
}

TEST(Liveness, ACopyOfARegionIsAsAliveAsItsProcess) {
  const MadeProc proc(kForeignNamespace);
  RegionFacts copy = facts_of(42, kForeignNamespace);
  copy.path = "/tmp/elsewhere/copied";
  copy.inode = 1;
  proc.add("42", maps_line("/dev/shm/seep.42.abc.region"));
  EXPECT_EQ(judged(proc, copy), Liveness::kAlive);
}

TEST(Liveness, WhereMapsAreRefusedTheStartTimeDecides) {
  const MadeProc proc(kForeignNamespace);
  const RegionFacts facts = facts_of(42, kForeignNamespace);
  proc.add_unreadable("42", stat_line('S', 1, 777));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive);
  proc.add_unreadable("42", stat_line('S', 1, 778));
  EXPECT_EQ(judged(proc, facts), Liveness::kDead) << "the number was used again";
  proc.add_unreadable("42", stat_line('Z', 1, 777));
  EXPECT_EQ(judged(proc, facts), Liveness::kDead) << "a zombie";
  proc.add_unreadable("42", stat_line('Z', 3, 777));
  EXPECT_EQ(judged(proc, facts), Liveness::kAlive) << "its first thread has ended, others run";
}

TEST(Liveness, OtherNamespacesAreDecidedOnlyWhereAllProcessesAreSeen) {
  const RegionFacts facts = facts_of(1, kForeignNamespace);
  const std::string others = maps_line("/usr/lib/libc.so.6");
  const MadeProc initial(kInitialPidNamespace);
  initial.add("1", others);
  initial.add("500", others);
  EXPECT_EQ(judged(initial, facts), Liveness::kDead);
  initial.add("500", others + maps_line("/dev/shm/seep.42.abc.region"));
  EXPECT_EQ(judged(initial, facts), Liveness::kAlive);
  initial.add("500", others);
  initial.add_unreadable("501", "");
  EXPECT_EQ(judged(initial, facts), Liveness::kUndecided) << "one could not be looked into";
  initial.add_unreadable("501", "", "Name:\tx\nNSpid:\t501\t7\n");
  EXPECT_EQ(judged(initial, facts), Liveness::kUndecided) << "and is in some container";
  initial.add_unreadable("501", "", "Name:\tx\nNSpid:\t501\n");
  EXPECT_EQ(judged(initial, facts), Liveness::kDead) << "and is in none";
  RegionFacts unknown = facts;
  unknown.ready = false;
  EXPECT_EQ(judged(initial, unknown), Liveness::kUndecided) << "a region that does not say whose it is";

  const MadeProc hidden(kInitialPidNamespace);  // Mounted with hidepid: without the first process.
  hidden.add("500", others);
  EXPECT_EQ(judged(hidden, facts), Liveness::kUndecided);

  const MadeProc container(kForeignNamespace + 1);
  container.add("1", others);
  EXPECT_EQ(judged(container, facts), Liveness::kUndecided) << "a process outside cannot be seen";
  container.add("7", maps_line("/shm/seep.42.abc.region"));
  EXPECT_EQ(judged(container, facts), Liveness::kAlive);
}

TEST(Liveness, ProcessesAreLookedAtAgainForARegionThatWasReadLater) {
  const MadeProc proc(kInitialPidNamespace);
  proc.add("1", "");
  proc.add("500", maps_line("/lib/libc.so.6"));
  LivenessJudge judge(proc.view());
  EXPECT_EQ(judge.judge(facts_of(9, kForeignNamespace)), Liveness::kDead);
  proc.add("500", maps_line("/dev/shm/seep.42.abc.region"));
  EXPECT_EQ(judge.judge(facts_of(9, kForeignNamespace)), Liveness::kAlive);
}

// A process of its own that has a region mapped until it is told to end; its first thread may end before.
class Holder {
 public:
  Holder(const std::string& region_path, bool first_thread_ends) {
    if (pipe(told_) != 0 || pipe(ready_) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) hold(region_path, first_thread_ends);
    char byte;
    if (read(ready_[0], &byte, 1) != 1) std::abort();
  }
  ~Holder() {
    if (pid_ > 0) end();
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  pid_t pid() const { return pid_; }
  void end() {
    close(told_[1]);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  [[noreturn]] void hold(const std::string& path, bool first_thread_ends) {
    close(told_[1]);
    const int fd = open(path.c_str(), O_RDWR);
    if (mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED) _exit(1);
    close(fd);
    const auto wait_until_told = [this] {
      char byte = 0;
      [[maybe_unused]] ssize_t count = write(ready_[1], &byte, 1);
      count = read(told_[0], &byte, 1);
      _exit(0);
    };
    if (!first_thread_ends) wait_until_told();
    std::thread(wait_until_told).detach();
    syscall(SYS_exit, 0);  // Of this thread alone. pthread_exit would unwind into the test.
    std::abort();
  }

  pid_t pid_ = 0;
  int told_[2];
  int ready_[2];
};

TEST(Liveness, OfARealProcess) {
  for (const bool first_thread_ends : {false, true}) {
    const TemporaryDirectory directory;
    MadeRegion region(directory.path("seep.1.0123456789abcdef.region"));
    Holder holder(region.path(), first_thread_ends);
    region.header().identity.pid = static_cast<uint32_t>(holder.pid());
    region.unmap();
    // What a thread that is ending still shows is over when it is a zombie.
    const std::string status = "/proc/" + std::to_string(holder.pid()) + "/stat";
    for (int wait = 0; first_thread_ends && wait < 5000; ++wait) {
      std::ifstream file(status);
      std::string line;
      std::getline(file, line);
      if (line.find(") Z ") != std::string::npos) break;
      usleep(1000);
    }
    const RegionFacts facts = read_region_facts(region.path());
    EXPECT_EQ(LivenessJudge().judge(facts), Liveness::kAlive) << first_thread_ends;
    holder.end();
    EXPECT_EQ(LivenessJudge().judge(facts), Liveness::kDead) << first_thread_ends;
  }
}

TEST(RegionFacts, AreReadWithoutTheRest) {
  const TemporaryDirectory directory;
  MadeRegion region(directory.path("seep.1.ab.region"), "/out/server.seep");
  fs::resize_file(region.path(), offsetof(RegionHeader, trie_root));
  const RegionFacts facts = read_region_facts(region.path());
  EXPECT_TRUE(facts.ready);
  EXPECT_STREQ(facts.identity.stream_path, "/out/server.seep");
  EXPECT_EQ(facts.recorded_name(), "seep.1.ab.region");
  EXPECT_EQ(facts.owner, geteuid());
}

std::string complaint_about(const std::string& path) {
  try {
    read_region_facts(path);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(RegionFacts, AnotherVersionIsRefusedWithBothNumbers) {
  const TemporaryDirectory directory;
  MadeRegion region(directory.path("seep.1.ab.region"));
  region.header().version = 77;
  const std::string complaint = complaint_about(region.path());
  EXPECT_NE(complaint.find("region version 77"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("reads " + std::to_string(kRegionVersion)), std::string::npos) << complaint;
}

TEST(RegionFacts, WhatIsNoRegionIsRefusedAndOneOfZerosIsNotReady) {
  const TemporaryDirectory directory;
  EXPECT_NE(complaint_about(directory.write("text", std::string(64 << 10, 'x'))).find("not a region"),
            std::string::npos);
  EXPECT_NE(complaint_about(directory.write("short", "seeprgn1")).find("too short"), std::string::npos);
  EXPECT_FALSE(read_region_facts(directory.write("zeros", std::string(64 << 10, '\0'))).ready);
  fs::create_symlink(directory.path("zeros"), directory.path("link"));
  EXPECT_NE(complaint_about(directory.path("link")).find("symbolic link"), std::string::npos);
}

TEST(RegionSearch, FindsWhatLiesInADirectoryAndNamesWhatCannotBeRead) {
  const TemporaryDirectory directory;
  const MadeRegion good(directory.path("seep.2.aa.region"), directory.path("a.seep"));
  MadeRegion newer(directory.path("seep.1.bb.region"));
  newer.header().version = 9;
  directory.write("seep.note.txt", "no region by its name");
  fs::create_symlink(good.path(), directory.path("seep.3.cc.region"));
  const RegionListing listing = regions_in(directory.path());
  ASSERT_EQ(listing.regions.size(), 1u);
  EXPECT_EQ(listing.regions[0].path, good.path());
  ASSERT_EQ(listing.problems.size(), 1u);
  EXPECT_EQ(listing.problems[0].path(), newer.path());
}

TEST(RegionFile, LeavesOutWhatLayInPrivateMemory) {
  const TemporaryDirectory directory;
  MadeRegion region(directory.path("seep.2.aa.region"));
  region.allocate(1, 100);
  region.header().private_from_bytes.store(region.header().used_bytes.load());
  const uint64_t shared = region.header().used_bytes.load();
  region.header().used_bytes.store(shared + 4096);
  const RegionFile file(region.path());
  EXPECT_FALSE(file.problem().has_value());
  const auto process = described_by(file, SnapshotKind::kPostMortem);
  ASSERT_EQ(process->traces().size(), 1u);
  EXPECT_EQ(process->traces().begin()->second.counters.alloc_bytes(), 100u);
}

}  // namespace
}  // namespace seep
