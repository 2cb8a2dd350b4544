// SPDX-License-Identifier: Apache-2.0
// What is left of processes: whether one still lives, its region seen from outside, what of it goes into its stream,
// and what is removed. Regions are made as the observed process makes them, in files; a /proc of our own stands for
// processes that a test cannot have.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launch/oom_kills.h"
#include "record/snapshot_writer.h"
#include "record/trace_table.h"
#include "recording/process_liveness.h"
#include "recording/process_maps.h"
#include "recording/recording.h"
#include "recording/region_search.h"
#include "recovery/acting_as.h"
#include "recovery/fold.h"
#include "recovery/outside_snapshot.h"
#include "recovery/region_claim.h"
#include "recovery/region_keeper.h"
#include "recovery/stream_place.h"
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

  // As the process does it itself.
  void snapshot(SnapshotKind kind = SnapshotKind::kInterval, const EndFacts* end = nullptr) const {
    const auto scratch = std::make_unique<EncoderScratch>();
    ASSERT_TRUE(write_snapshot(region_, *scratch, "", kind, 1'000'000, end));
  }
  std::string stream_path() const { return header().identity.stream_path; }

  // One block of a size at a place of the program that is told by a number.
  void allocate(uint64_t place, uint64_t bytes) const {
    const Frame frames[2] = {make_frame(0, 0x1000 + place), make_frame(0, 0x1000)};
    const TraceTable table(region_);
    const Ref ref = table.find_or_insert(frames, 2, Cut::kWhole, 5);
    Trace& trace = *region_.at<Trace>(ref);
    count_allocation(*table.shard(trace, 0), bytes, 5, nullptr);
    table.note_peak(trace, nullptr, bytes);
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
  EXPECT_EQ((*process->traces().begin()).second.counters.alloc_bytes(), 100u);
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What a recording says in sum: allocated bytes by trace, and whether anything was wrong with it.
struct Said {
  std::vector<uint64_t> alloc_bytes;
  std::vector<std::string> problems;
  uint64_t lost_messages = 0;
  size_t headers = 0;
  std::optional<proto::End> end;

  bool operator==(const Said& other) const { return alloc_bytes == other.alloc_bytes && problems == other.problems; }
};

Said said_by(const std::string& stream) {
  Said said;
  std::vector<Error> problems;
  const auto process = load_stream(stream, problems);
  for (const Error& problem : problems) said.problems.push_back(problem.what());
  for (const auto& [id, trace] : process->traces()) said.alloc_bytes.push_back(trace.counters.alloc_bytes());
  std::sort(said.alloc_bytes.begin(), said.alloc_bytes.end());
  said.lost_messages = process->lost_messages;
  said.end = process->end();
  for (const proto::Message& message : testing::read_back(bytes_of(stream)).messages) {
    said.headers += message.has_header();
  }
  return said;
}

using Bytes = std::vector<uint64_t>;

// A process that took one snapshot, went on, and died.
class FoldTest : public ::testing::Test {
 protected:
  void live() {
    region.allocate(1, 100);
    region.snapshot();
    bytes_at_snapshot = fs::file_size(stream);
    region.allocate(1, 11);
    region.allocate(2, 2000);
  }
  Folded fold(const FoldRequest& request = {}) { return fold_region(read_region_facts(region.path()), request); }

  TemporaryDirectory directory;
  std::string stream = directory.path("server.1.seep");
  MadeRegion region{directory.path("seep.1.0011223344556677.region"), stream};
  uint64_t bytes_at_snapshot = 0;
};

TEST_F(FoldTest, OnlyWhatChangedIsAppendedAndTheRegionIsGone) {
  live();
  const Folded folded = fold();
  EXPECT_EQ(folded.state, Folded::State::kDone);
  EXPECT_EQ(folded.stream_path, stream);
  EXPECT_FALSE(fs::exists(region.path()));
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, (Bytes{111, 2000}));
  EXPECT_TRUE(said.problems.empty()) << said.problems[0];
  EXPECT_EQ(said.lost_messages, 0u);
  EXPECT_EQ(said.headers, 1u);
  EXPECT_EQ(testing::read_back(bytes_of(stream)).messages.back().snapshot().kind(), proto::Snapshot::POST_MORTEM);
}

TEST_F(FoldTest, AProcessWithoutASnapshotGetsItsStream) {
  region.allocate(1, 100);
  region.header().identity.stream_path[stream.size() - 1] = 'x';  // Its directory is there, its file is not.
  const std::string path = region.stream_path();
  EXPECT_EQ(fold().stream_path, path);
  EXPECT_EQ(said_by(path).alloc_bytes, Bytes{100});
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(FoldTest, DirectoriesThatAreMissingAreMade) {
  region.allocate(1, 100);
  const std::string path = directory.path("a/b/server.seep");
  std::strcpy(region.header().identity.stream_path, path.c_str());
  EXPECT_EQ(fold().stream_path, path);
  EXPECT_EQ(said_by(path).alloc_bytes, Bytes{100});
}

TEST_F(FoldTest, AStreamThatWasCutAnywhereIsHealed) {
  live();
  const std::string whole = bytes_of(stream), region_bytes = bytes_of(region.path());
  region.unmap();
  for (size_t length = 0; length < whole.size(); ++length) {
    fs::resize_file(stream, length);  // The same inode: the process made it.
    fold();
    const Said said = said_by(stream);
    ASSERT_EQ(said.alloc_bytes, (Bytes{111, 2000})) << "cut at " << length;
    ASSERT_TRUE(said.problems.empty()) << "cut at " << length << ": " << said.problems[0];
    ASSERT_EQ(said.lost_messages, 0u) << "cut at " << length;
    ASSERT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 1) << "cut at " << length;
    fs::resize_file(stream, 0);
    std::ofstream(stream, std::ios::binary) << whole;
    directory.write("seep.1.0011223344556677.region", region_bytes);
  }
}

TEST_F(FoldTest, KilledWhileWritingASnapshot) {
  live();
  const std::string before = bytes_of(stream);
  std::string region_while = bytes_of(region.path());
  RegionHeader& header = *reinterpret_cast<RegionHeader*>(region_while.data());
  header.progress.write_everything = 1;  // As it is while the encoder works.
  region.snapshot();
  const std::string after = bytes_of(stream);
  region.unmap();
  for (size_t length = before.size(); length <= after.size(); ++length) {
    fs::resize_file(stream, 0);
    std::ofstream(stream, std::ios::binary) << after.substr(0, length);
    directory.write("seep.1.0011223344556677.region", region_while);
    fold();
    const Said said = said_by(stream);
    ASSERT_EQ(said.alloc_bytes, (Bytes{111, 2000})) << "killed at " << length;
    ASSERT_TRUE(said.problems.empty()) << "killed at " << length << ": " << said.problems[0];
  }
}

TEST_F(FoldTest, DamageInTheMiddleOfTheStreamIsHealedByTheWholeRegionAndStillNamed) {
  live();
  std::fstream file(stream, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(bytes_at_snapshot / 2));
  file.write("\x55\x55\x55\x55\x55\x55", 6);
  file.close();
  fold();
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, (Bytes{111, 2000}));
  EXPECT_EQ(said.problems.size(), 1u);
}

TEST_F(FoldTest, AStreamThatEndedAndMissesNothingIsNotTouched) {
  live();
  const EndFacts end{EndHow::kExit, true, 3, 0, 2'000'000};
  region.snapshot(SnapshotKind::kExit, &end);  // And its removal was refused.
  const std::string before = bytes_of(stream);
  EXPECT_EQ(fold().stream_path, stream);
  EXPECT_EQ(bytes_of(stream), before);
  EXPECT_FALSE(fs::exists(region.path()));
}

TEST_F(FoldTest, WhatCameAfterTheEndIsAppendedAndTheEndStaysTheEnd) {
  live();
  const EndFacts end{EndHow::kExit, true, 3, 0, 2'000'000};
  region.snapshot(SnapshotKind::kExit, &end);
  region.allocate(3, 77);  // By another thread.
  fold();
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, (Bytes{77, 111, 2000}));
  ASSERT_TRUE(said.end.has_value());
  EXPECT_EQ(said.end->exit_status(), 3);
  EXPECT_TRUE(said.problems.empty());
}

TEST_F(FoldTest, TwiceIsAsOnce) {
  live();
  const std::string region_bytes = bytes_of(region.path());
  region.unmap();
  fold();
  const std::string after = bytes_of(stream);
  directory.write("seep.1.0011223344556677.region", region_bytes);  // As if its removal had been refused.
  fold();
  EXPECT_EQ(bytes_of(stream), after);
  EXPECT_FALSE(fs::exists(region.path()));
}

TEST_F(FoldTest, ACopiedRecordingFoldsIntoTheCopy) {
  live();
  const std::string before = bytes_of(stream);
  const TemporaryDirectory elsewhere;
  fs::copy(stream, elsewhere.path("server.1.seep"));
  fs::copy(region.path(), elsewhere.path("seep.1.0011223344556677.region"));
  const Folded folded = fold_region(read_region_facts(elsewhere.path("seep.1.0011223344556677.region")), {});
  EXPECT_EQ(folded.stream_path, elsewhere.path("server.1.seep"));
  EXPECT_EQ(said_by(folded.stream_path).alloc_bytes, (Bytes{111, 2000}));
  EXPECT_EQ(bytes_of(stream), before);
  EXPECT_TRUE(fs::exists(region.path()));
}

TEST_F(FoldTest, ACopyWithoutAStreamMakesOneBesideIt) {
  live();
  const std::string before = bytes_of(stream);
  const TemporaryDirectory elsewhere;
  fs::copy(region.path(), elsewhere.path("copy.region"));
  const Folded folded = fold_region(read_region_facts(elsewhere.path("copy.region")), {});
  EXPECT_EQ(folded.stream_path, elsewhere.path("server.1.seep"));
  EXPECT_EQ(said_by(folded.stream_path).alloc_bytes, (Bytes{111, 2000}));
  EXPECT_EQ(bytes_of(stream), before);
}

TEST_F(FoldTest, AnotherFileOfThatNameIsNeverTouched) {
  live();
  for (const std::string& strangers : {std::string("notes"), testing::stream_of(testing::small_recording())}) {
    const std::string region_bytes = bytes_of(region.path());
    std::ofstream(stream, std::ios::binary) << strangers;
    const Folded folded = fold();
    EXPECT_EQ(folded.stream_path, directory.path("server.1.2.seep"));
    EXPECT_EQ(bytes_of(stream), strangers);
    EXPECT_EQ(said_by(folded.stream_path).alloc_bytes, (Bytes{111, 2000}));
    fs::remove(folded.stream_path);
    directory.write("seep.1.0011223344556677.region", region_bytes);
  }
}

TEST_F(FoldTest, ALinkInPlaceOfTheStreamIsNotFollowed) {
  live();
  fs::rename(stream, directory.path("real"));
  fs::create_symlink(directory.path("real"), stream);
  const std::string before = bytes_of(directory.path("real"));
  EXPECT_EQ(fold().stream_path, directory.path("server.1.2.seep"));
  EXPECT_EQ(bytes_of(directory.path("real")), before);
}

TEST_F(FoldTest, WhatIsReadOnlyStaysAsItIs) {
  live();
  const std::string before = bytes_of(stream);
  for (const std::string& read_only : {stream, directory.path()}) {
    const auto permissions = fs::status(read_only).permissions();
    const auto write = fs::perms::owner_write | fs::perms::group_write | fs::perms::others_write;
    fs::permissions(read_only, permissions & ~write);
    EXPECT_THROW(fold(), Error) << read_only;
    fs::permissions(read_only, permissions);
    EXPECT_EQ(bytes_of(stream), before);
    EXPECT_TRUE(fs::exists(region.path()));
  }
}

TEST_F(FoldTest, OnlyIntoWhatIsToBeRead) {
  live();
  const TemporaryDirectory elsewhere;
  EXPECT_THROW(fold({.only_into = elsewhere.path()}), Error);
  EXPECT_TRUE(fs::exists(region.path()));
  EXPECT_EQ(fold({.only_into = stream, .pretend = true}).stream_path, stream);
  EXPECT_TRUE(fs::exists(region.path()));
  EXPECT_EQ(fold({.only_into = directory.path()}).stream_path, stream);
}

TEST_F(FoldTest, SomebodyElseAtItIsWaitedForAndThenLeftAlone) {
  live();
  const int other = open(region.path().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  EXPECT_EQ(fold({.most_wait = std::chrono::milliseconds(20)}).state, Folded::State::kBusy);
  EXPECT_TRUE(fs::exists(region.path()));
  close(other);
  EXPECT_EQ(fold().state, Folded::State::kDone);
  EXPECT_EQ(fold_region(RegionFacts{.path = region.path()}, {}).state, Folded::State::kGone);
}

TEST_F(FoldTest, ManyAtOnceFoldItOnce) {
  live();
  region.unmap();
  const RegionFacts facts = read_region_facts(region.path());
  constexpr int kFolders = 8;
  std::vector<pid_t> folders;
  for (int i = 0; i < kFolders; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      int code = 2;
      try {
        code = fold_region(facts, {.most_wait = std::chrono::seconds(30)}).state == Folded::State::kDone ? 1 : 0;
      } catch (const std::exception&) {
      }
      _exit(code);
    }
    folders.push_back(pid);
  }
  int done = 0;
  for (const pid_t pid : folders) {
    int status = 0;
    waitpid(pid, &status, 0);
    ASSERT_NE(WEXITSTATUS(status), 2);
    done += WEXITSTATUS(status);
  }
  EXPECT_EQ(done, 1);
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, (Bytes{111, 2000}));
  EXPECT_TRUE(said.problems.empty());
}

TEST_F(FoldTest, ReadingFoldsTheDeadAndOnlyReadsTheLiving) {
  live();
  const std::string before = bytes_of(stream), region_before = bytes_of(region.path());
  fold_before_reading({directory.path(), stream});
  EXPECT_EQ(bytes_of(stream), before) << "this process has it mapped";
  EXPECT_EQ(bytes_of(region.path()), region_before);
  EXPECT_EQ(said_by(stream).alloc_bytes, (Bytes{111, 2000}));
  region.unmap();
  fold_before_reading({stream});
  EXPECT_FALSE(fs::exists(region.path()));
  EXPECT_EQ(said_by(stream).alloc_bytes, (Bytes{111, 2000}));
}

TEST_F(FoldTest, ForAnotherUserNothingIsWrittenThatHeCouldNotWriteHimself) {
  if (geteuid() != 0) GTEST_SKIP() << "not run: only root reads other users' regions";
  constexpr uid_t kNobody = 65534;
  region.allocate(1, 100);
  const TemporaryDirectory roots;  // Mode 0700.
  std::strcpy(region.header().identity.stream_path, roots.path("made.seep").c_str());
  ASSERT_EQ(chown(directory.path().c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chown(region.path().c_str(), kNobody, kNobody), 0);
  EXPECT_THROW(fold(), Error);
  EXPECT_TRUE(fs::is_empty(roots.path()));
  EXPECT_EQ(geteuid(), 0u);
  std::strcpy(region.header().identity.stream_path, directory.path("made.seep").c_str());
  fold();
  struct stat status;
  ASSERT_EQ(stat(directory.path("made.seep").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kNobody);
}

TEST_F(FoldTest, IntoOurOwnDirectoryForAProgramThatGaveUpItsPrivileges) {
  if (geteuid() != 0) GTEST_SKIP() << "not run: only root reads other users' regions";
  constexpr uid_t kNobody = 65534;
  region.allocate(1, 100);
  const TemporaryDirectory own, strangers;
  ASSERT_EQ(chown(region.path().c_str(), kNobody, kNobody), 0);
  ASSERT_EQ(chown(strangers.path().c_str(), kNobody, kNobody), 0);
  std::strcpy(region.header().identity.stream_path, own.path("made.seep").c_str());
  EXPECT_TRUE(is_own_directory(own.path(), region.header().identity));
  EXPECT_FALSE(is_own_directory(strangers.path(), region.header().identity)) << "lies elsewhere";
  EXPECT_FALSE(is_own_directory("", region.header().identity));
  EXPECT_EQ(fold({.own_directory = own.path()}).stream_path, own.path("made.seep"));
  EXPECT_EQ(said_by(own.path("made.seep")).alloc_bytes, Bytes{100});
  std::strcpy(region.header().identity.stream_path, strangers.path("made.seep").c_str());
  EXPECT_FALSE(is_own_directory(strangers.path(), region.header().identity)) << "another user's";
}

TEST_F(FoldTest, AStreamThatWasMadeAndNotWrittenIsThatOfItsRegion) {
  region.allocate(1, 100);
  directory.write("server.1.seep", "");
  for (const std::string& path : {directory.path(), stream}) {
    const Recording recording = load_recording({path});  // This process lives: nothing is folded.
    ASSERT_EQ(recording.processes.size(), 1u) << path;
    EXPECT_TRUE(recording.problems.empty()) << recording.problems[0].what();
  }
  region.unmap();
  fold_before_reading({stream});
  EXPECT_EQ(said_by(stream).alloc_bytes, Bytes{100});
  EXPECT_FALSE(fs::exists(region.path()));
}

TEST_F(FoldTest, TwoStreamsOfOneRecordingCountOnce) {
  live();
  fs::copy(stream, directory.path("before.seep"));
  region.snapshot();
  const Recording recording = load_recording({directory.path(), stream});
  ASSERT_EQ(recording.processes.size(), 1u);
  EXPECT_EQ(recording.processes[0]->stream_path(), stream);
}

class OutsideSnapshot : public ::testing::Test {
 protected:
  TakenSnapshot take(const MadeRegion& of) { return take_snapshot({.region_path = of.path(), .most_wait = kShort}); }

  static constexpr std::chrono::milliseconds kShort{20};
  TemporaryDirectory directory;
  std::string stream = directory.path("server.1.seep");
  MadeRegion region{directory.path("seep.1.0011223344556677.region"), stream};
};

TEST_F(OutsideSnapshot, GoesIntoTheStreamAndTheProcessGoesOnFromThere) {
  region.allocate(1, 100);
  const TakenSnapshot first = take(region);
  EXPECT_EQ(first.stream_path, stream);
  EXPECT_EQ(first.live_bytes, 100);
  EXPECT_EQ(first.live_blocks, 1);
  EXPECT_TRUE(first.exact);
  EXPECT_EQ(region.header().snapshot_owner.load(), 0u);
  EXPECT_GT(region.header().last_snapshot_ns.load(), 0u);
  region.allocate(2, 200);
  region.snapshot();
  region.allocate(3, 300);
  EXPECT_EQ(take(region).live_bytes, 600);
  region.allocate(3, 3);
  const EndFacts end{EndHow::kExit, true, 0, 0, 9};
  region.snapshot(SnapshotKind::kExit, &end);
  const auto read = testing::read_back(bytes_of(stream));
  EXPECT_TRUE(read.damage.empty());
  EXPECT_EQ(read.lost_messages, 0u);
  size_t counters = 0, headers = 0;
  std::vector<int> kinds;
  for (const proto::Message& message : read.messages) {
    counters += static_cast<size_t>(message.counters().counters_size());
    headers += message.has_header();
    if (message.has_snapshot()) kinds.push_back(message.snapshot().kind());
  }
  EXPECT_EQ(headers, 1u);
  EXPECT_EQ(counters, 5u)
      << "each only says what changed, and the second request the births of 2, which an interval leaves out";
  EXPECT_EQ(kinds, (std::vector<int>{proto::Snapshot::REQUEST, proto::Snapshot::INTERVAL, proto::Snapshot::REQUEST,
                                     proto::Snapshot::EXIT}));
  EXPECT_EQ(said_by(stream).alloc_bytes, (Bytes{100, 200, 303}));
}

// The messages of a stream without what is the moment's or the writer's.
std::vector<std::string> contents_of(const std::string& stream) {
  std::vector<std::string> contents;
  for (proto::Message message : testing::read_back(bytes_of(stream)).messages) {
    message.clear_crc32c();
    if (message.has_snapshot()) {
      message.mutable_snapshot()->clear_time_ns();
      message.mutable_snapshot()->clear_kind();
    }
    contents.push_back(message.SerializeAsString());
  }
  return contents;
}

TEST_F(OutsideSnapshot, SaysTheSameAsTheProcessItself) {
  const TemporaryDirectory other;
  const MadeRegion twin(other.path("seep.1.0011223344556677.region"), other.path("server.1.seep"));
  std::memcpy(twin.header().identity.region_path, region.header().identity.region_path, sizeof(Identity::region_path));
  for (int step = 0; step < 5; ++step) {
    for (uint64_t place = 0; place < 40; ++place) {
      if (place % (static_cast<uint64_t>(step) + 1) != 0) continue;
      region.allocate(place, place + 1);
      twin.allocate(place, place + 1);
    }
    take(region);
    twin.snapshot(SnapshotKind::kRequest);
  }
  EXPECT_EQ(contents_of(stream), contents_of(twin.stream_path()));
}

TEST_F(OutsideSnapshot, WaitsForTheProcessABoundedTimeAndChangesNothing) {
  region.allocate(1, 100);
  region.header().snapshot_owner.store(1);
  const std::string before = bytes_of(region.path());
  EXPECT_THROW(take(region), Error);
  EXPECT_EQ(bytes_of(region.path()), before);
  EXPECT_FALSE(fs::exists(stream));
}

TEST_F(OutsideSnapshot, TakesOverFromOneThatWasKilled) {
  region.allocate(1, 100);
  take(region);
  region.allocate(1, 5);
  region.header().snapshot_owner.store(kOwnedFromOutside);
  region.header().progress.write_everything = 1;  // As announce() leaves it.
  std::ofstream(stream, std::ios::app | std::ios::binary) << "half a mess";
  take(region);
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, Bytes{105});
  EXPECT_TRUE(said.problems.empty());
  EXPECT_EQ(said.lost_messages, 0u);
}

TEST_F(OutsideSnapshot, AfterTheLastOneThereIsNone) {
  region.allocate(1, 100);
  const EndFacts end{EndHow::kExit, true, 0, 0, 9};
  region.snapshot(SnapshotKind::kExit, &end);
  const std::string before = bytes_of(stream);
  FileSource open_before(region.path());
  fs::remove(region.path());
  EXPECT_THROW(take_snapshot({.region_path = "/proc/self/fd/" + std::to_string(open_before.descriptor())}), Error);
  EXPECT_THROW(take(region), Error);
  EXPECT_EQ(bytes_of(stream), before);
}

TEST_F(OutsideSnapshot, WhereTheStreamCannotBeWrittenThatIsCountedAndAllIsSaidLater) {
  region.allocate(1, 100);
  std::strcpy(region.header().identity.stream_path, "/dev/null/no.seep");
  EXPECT_THROW(take(region), Error);
  EXPECT_EQ(region.header().snapshot_owner.load(), 0u);
  std::strcpy(region.header().identity.stream_path, stream.c_str());
  take(region);
  EXPECT_EQ(said_by(stream).alloc_bytes, Bytes{100});
}

TEST_F(OutsideSnapshot, AFileThatIsNotTheStreamIsNotWritten) {
  region.allocate(1, 100);
  const std::string victim = directory.write("victim.seep", testing::stream_of(testing::small_recording()));
  struct stat status;
  ASSERT_EQ(stat(victim.c_str(), &status), 0);
  std::strcpy(region.header().identity.stream_path, victim.c_str());
  region.header().stream.device = status.st_dev;
  region.header().stream.now = {status.st_ino, static_cast<uint64_t>(status.st_size), 6, 0};
  const std::string before = bytes_of(victim);
  EXPECT_EQ(take(region).stream_path, directory.path("victim.2.seep"));
  EXPECT_EQ(bytes_of(victim), before);
  EXPECT_EQ(said_by(directory.path("victim.2.seep")).alloc_bytes, Bytes{100});
}

TEST_F(OutsideSnapshot, ATruncatedRegionIsAnErrorAndNoCrash) {
  region.allocate(1, 100);
  FileSource file(region.path(), FileSource::Access::kReadAndWrite);
  fs::resize_file(region.path(), 0);
  EXPECT_THROW(RegionClaim(file, kShort), Error);
}

TEST_F(OutsideSnapshot, KeepsTheStreamSmall) {
  region.header().identity.max_stream_bytes = 64 << 10;
  RegionKeeper keeper(directory.path());
  for (int step = 0; step < 400; ++step) {
    for (uint64_t place = 0; place < 20; ++place) region.allocate(place, 1);
    keeper.look();
  }
  EXPECT_LT(fs::file_size(stream), (64u << 10) + (64u << 10) / 4 + 4096);
  const auto read = testing::read_back(bytes_of(stream));
  EXPECT_TRUE(read.damage.empty());
  const Said said = said_by(stream);
  EXPECT_EQ(said.alloc_bytes, Bytes(20, 400));
  EXPECT_TRUE(said.problems.empty());
  EXPECT_FALSE(fs::exists(stream + ".thinned"));
}

TEST_F(OutsideSnapshot, TheKeeperTakesThoseOfTheLivingAndFoldsTheDead) {
  region.allocate(1, 100);
  MadeRegion dead(directory.path("seep.2.8899aabbccddeeff.region"), directory.path("dead.seep"), 'b');
  dead.allocate(1, 7);
  dead.unmap();
  RegionKeeper keeper(directory.path());
  keeper.look();
  EXPECT_FALSE(fs::exists(dead.path()));
  EXPECT_EQ(said_by(directory.path("dead.seep")).alloc_bytes, Bytes{7});
  keeper.look();
  keeper.finish();
  EXPECT_TRUE(fs::exists(region.path()));
  size_t snapshots = 0;
  for (const proto::Message& message : testing::read_back(bytes_of(stream)).messages) {
    snapshots += message.has_snapshot() && message.snapshot().kind() == proto::Snapshot::INTERVAL;
  }
  EXPECT_EQ(snapshots, 2u);
}

TEST(StreamPlace, OfAnotherRootStaysInsideIt) {
  const TemporaryDirectory root, outside;
  fs::create_directory(root.path("var"));
  fs::create_symlink(outside.path(), root.path("var/link"));
  fs::create_symlink("/var", root.path("absolute"));
  const StreamPlace inside(root.path(), "/absolute/made/../made/x.seep", StreamPlace::Missing::kIsMade);
  std::ofstream(inside.open_path()) << "1";
  EXPECT_TRUE(fs::exists(root.path("var/made/x.seep")));
  EXPECT_EQ(inside.path_of("x.2.seep"), "/absolute/made/../made/x.2.seep");
  EXPECT_THROW(StreamPlace(root.path(), "/var/link/x.seep", StreamPlace::Missing::kIsAnError), Error);
  const StreamPlace up(root.path(), "/../../../x.seep", StreamPlace::Missing::kIsAnError);
  std::ofstream(up.open_path()) << "1";
  EXPECT_TRUE(fs::exists(root.path("x.seep")));
  EXPECT_TRUE(fs::is_empty(outside.path()));
}

TEST(StreamPlace, RefusesWhatIsNoPathOfAFile) {
  for (const char* path : {"", "relative.seep", "/tmp/", "/tmp/..", "/no/such/directory/x.seep"}) {
    EXPECT_THROW(StreamPlace("", path, StreamPlace::Missing::kIsAnError), Error) << path;
  }
}

TEST(OomKills, AreReadFromTheMemoryCgroupOfEitherVersion) {
  const TemporaryDirectory root;
  const auto write = [&](const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(root.path(path)).parent_path());
    root.write(path, text);
  };
  EXPECT_FALSE(oom_kills(root.path()).has_value());
  write("proc/self/cgroup", "0::/a/b\n");
  EXPECT_FALSE(oom_kills(root.path()).has_value());
  write("sys/fs/cgroup/memory.events", "low 0\noom 9\noom_kill 8\n");
  EXPECT_EQ(oom_kills(root.path()), 8u) << "a container sees its own cgroup at the top";
  write("sys/fs/cgroup/a/b/memory.events", "low 0\nhigh 1\nmax 2\noom 4\noom_kill 3\noom_group_kill 5\n");
  EXPECT_EQ(oom_kills(root.path()), 3u);
  write("proc/self/cgroup", "5:devices:/\n4:cpu,memory:/c\n0::/a/b\n");
  write("sys/fs/cgroup/memory/c/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 17\n");
  EXPECT_EQ(oom_kills(root.path()), 17u);
}

}  // namespace
}  // namespace seep
