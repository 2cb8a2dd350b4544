// SPDX-License-Identifier: Apache-2.0
//
// What a line of /proc/PID/maps says, and the list of our own memory.
#include "preload/leak_scan/memory_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "preload/leak_scan/own_memory.h"

namespace seep::leak_scan {
namespace {

Mapping parse(const std::string& line) {
  Mapping mapping;
  EXPECT_TRUE(parse_mapping(line.data(), line.data() + line.size(), mapping)) << line;
  return mapping;
}

TEST(MemoryMap, ReadsBoundsAndPermissions) {
  const Mapping mapping = parse("7ffd2caf5000-7ffd2cb16000 rw-p 00000000 00:00 0                          [stack]");
  EXPECT_EQ(mapping.start, 0x7FFD2CAF5000u);
  EXPECT_EQ(mapping.end, 0x7FFD2CB16000u);
  EXPECT_TRUE(mapping.readable && mapping.writable && !mapping.executable && mapping.is_main_stack);
  EXPECT_FALSE(parse("1000-2000 r--p 00000000 00:00 0 ").writable);
  EXPECT_TRUE(parse("1000-2000 r-xp 00000000 00:00 0 ").executable);
  EXPECT_FALSE(parse("1000-2000 ---p 00000000 00:00 0 ").readable);
}

TEST(MemoryMap, KnowsWhatMayBeRead) {
  const std::string before = "1000-2000 rw-p 00000000 fe:00 12 ", shared = "1000-2000 rw-s 00000000 fe:00 12 ";
  for (const char* name : {"", "[heap]", "[stack]", "[anon:thread]", "/dev/zero"}) {
    EXPECT_EQ(parse(before + name).kind, MappingKind::kAnonymous) << name;
  }
  for (const char* name : {"/usr/lib/libc.so.6", "/tmp/with space (deleted)", "/memfd:x (deleted)"}) {
    EXPECT_EQ(parse(before + name).kind, MappingKind::kFilePrivate) << name;
  }
  for (const char* name : {"/memfd:x (deleted)", "/SYSV00000000 (deleted)", "/dev/shm/x", "/dev/zero (deleted)",
                           "[anon_shmem:x]", "/anon_hugepage (deleted)"}) {
    EXPECT_EQ(parse(shared + name).kind, MappingKind::kSharedMemory) << name;
  }
  EXPECT_EQ(parse(shared + "/var/lib/data.mdb").kind, MappingKind::kFileShared);
  for (const char* name : {"/dev/dri/card0", "/dev/mem", "anon_inode:[perf_event]", "anon_inode:[io_uring]",
                           "socket:[77]", "/sys/devices/pci/resource0", "/dmabuf:x", "/proc/bus/pci/00/00.0"}) {
    EXPECT_EQ(parse(shared + name).kind, MappingKind::kDevice) << name;
  }
  for (const char* name : {"[vvar]", "[vdso]", "[vsyscall]"}) {
    EXPECT_EQ(parse(before + name).kind, MappingKind::kKernel) << name;
  }
}

TEST(MemoryMap, RefusesWhatIsNoLine) {
  for (const std::string line :
       {"", "1000", "1000-", "1000-2000", "1000-2000 rw", "2000-1000 rw-p 0 00:00 0", "x-y z"}) {
    Mapping mapping;
    EXPECT_FALSE(parse_mapping(line.data(), line.data() + line.size(), mapping)) << line;
  }
}

TEST(MemoryMap, IsInOrderAndHasThisFunction) {
  PrivateMemory memory;
  AsideMemory aside(memory);
  GrowingArray<Mapping> mappings(memory);
  ASSERT_EQ(read_memory_map(aside, mappings, [] { return true; }), MapResult::kDone);
  const auto here = reinterpret_cast<uint64_t>(&parse);
  const auto found = std::find_if(mappings.begin(), mappings.end(),
                                  [=](const Mapping& mapping) { return mapping.start <= here && here < mapping.end; });
  ASSERT_NE(found, mappings.end());
  EXPECT_TRUE(found->executable && found->kind == MappingKind::kFilePrivate);
  EXPECT_TRUE(std::is_sorted(mappings.begin(), mappings.end(),
                             [](const Mapping& a, const Mapping& b) { return a.end <= b.start && a.start < b.start; }));
}

TEST(OwnMemory, HasWhatIsNotedAndNotForgotten) {
  OwnMemory own;
  std::set<uintptr_t> truth;
  for (uintptr_t i = 1; i <= 2000; ++i) {
    ASSERT_TRUE(own.note(reinterpret_cast<void*>(i << 20), 4096));
    truth.insert(i << 20);
  }
  for (uintptr_t i = 1; i <= 2000; i += 3) {
    own.forget(reinterpret_cast<void*>(i << 20));
    truth.erase(i << 20);
  }
  std::set<uintptr_t> seen;
  unsigned others = 0;  // The pages of the list itself.
  own.each([&](uintptr_t start, uintptr_t end) {
    if (start < uintptr_t{2001} << 20) seen.insert(start);
    else ++others;
    EXPECT_EQ(end - start <= 4096, true);
  });
  EXPECT_EQ(seen, truth);
  EXPECT_GT(others, 5u);
}

TEST(OwnMemory, ThreadsDoNotLoseEachOthersEntries) {
  OwnMemory own;
  std::vector<std::thread> threads;
  for (uintptr_t t = 1; t <= 4; ++t) {
    threads.emplace_back([&own, t] {
      for (uintptr_t i = 1; i <= 400; ++i) {
        const auto start = reinterpret_cast<void*>((t * 1000 + i) << 20);
        own.note(start, 4096);
        if (i % 2 == 0) own.forget(start);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  unsigned count = 0;
  own.each([&](uintptr_t start, uintptr_t) { count += start < uintptr_t{5000} << 20; });
  EXPECT_EQ(count, 800u);
}

}  // namespace
}  // namespace seep::leak_scan
