// SPDX-License-Identifier: Apache-2.0
//
// The roots where the kernel does not answer everything, each in a process of its own.
#include <pthread.h>
#include <sys/wait.h>

#include <cstdlib>

#include "../../sanitizers.h"
#include "record/system_gate.h"
#include "root_test.h"

namespace seep::leak_scan {
namespace {

constexpr int kGood = 42;

// The exit status of a child that runs `function`, or -1.
template <typename Function>
int in_a_child(Function function) {
  const pid_t child = fork();
  if (child == 0) _exit(function() ? kGood : 1);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void deny(std::initializer_list<unsigned> calls) {
  SystemGate::Denied denied{};
  for (const unsigned call : calls) denied.add(call);
  system_gate.close(denied);
}

bool has(const RootSet& set, const void* place) {
  return std::any_of(set.roots().begin(), set.roots().end(), [=](const Root& root) {
    return root.start <= address_of(static_cast<const char*>(place)) &&
           address_of(static_cast<const char*>(place)) < root.end;
  });
}

// With one thread; what is not told by the kernel is a root, and untouched pages still are none.
bool roots_are_right(RootSet& set) {
  const LiveThread self = this_thread();
  RootRequest request;
  request.threads = &self;
  request.thread_count = 1;
  request.tid = self.tid;
  char* pages = map_pages(3);
  pages[kPage] = 1;
  madvise(pages, 3 * kPage, MADV_NOHUGEPAGE);
  if (set.collect(request) != RootsResult::kDone || set.find_touched() != RootsResult::kDone) return false;
  return !has(set, pages) && has(set, pages + kPage) && !has(set, pages + 2 * kPage);
}

TEST(RootsRefused, WithoutMapsThereIsNoAnswer) {
  EXPECT_EQ(in_a_child([] {
              deny({SYS_openat});
              PrivateMemory memory;
              RootSet set(memory);
              return set.collect(RootRequest()) == RootsResult::kNoMaps;
            }),
            kGood);
}

TEST(RootsRefused, WithoutMemoryThereIsNone) {
  PrivateMemory little(8 << 10);
  RootSet set(little);
  EXPECT_EQ(set.collect(RootRequest()), RootsResult::kNoMemory);
}

constexpr bool kHasShadow = kAddressSanitizer;  // 16 TiB, in which mincore looks for a page for many seconds.

TEST(RootsRefused, WithoutTimeThereIsNone) {
  PrivateMemory memory;
  RootSet set(memory);
  ASSERT_EQ(set.collect(RootRequest()), RootsResult::kDone);
  EXPECT_EQ(set.find_touched({1}), RootsResult::kOutOfTime);
  EXPECT_EQ(set.find_touched(), RootsResult::kDone);
}

// Before Linux 6.7.
TEST(RootsRefused, WithoutPagemapScan) {
  if (kHasShadow) GTEST_SKIP() << "not run: the sanitizer's shadow is too large";
  EXPECT_EQ(in_a_child([] {
              deny({SYS_ioctl});
              PrivateMemory memory;
              RootSet set(memory);
              return roots_are_right(set);
            }),
            kGood);
}

// After a change of user, /proc/self/pagemap is not ours to read, and mincore says of a file that is not ours either
// that all of it is in memory, also behind its end.
TEST(RootsRefused, AfterAChangeOfUser) {
  if (geteuid() != 0) GTEST_SKIP() << "not run: needs to be root";
  if (kHasShadow) GTEST_SKIP() << "not run: the sanitizer's shadow is too large";
  EXPECT_EQ(in_a_child([] {
              char file_name[] = "/tmp/seep_roots_XXXXXX";
              const int file = mkstemp(file_name);
              if ((ftruncate(file, 4 * kPage) | unlink(file_name)) != 0) return false;
              char* pages = map_pages(4, MAP_SHARED, file);
              memset(pages, 1, 4 * kPage);
              if (ftruncate(file, kPage) != 0 || setresuid(65534, 65534, 65534) != 0) return false;
              unsigned char resident[4] = {};
              mincore(pages, 4 * kPage, resident);
              if (access("/proc/self/pagemap", R_OK) == 0 || (resident[3] & 1) == 0) return false;
              PrivateMemory memory;
              RootSet set(memory);
              return roots_are_right(set) && has(set, pages) && !has(set, pages + kPage) &&
                     set.gaps().unread.refused == 3 * kPage;
            }),
            kGood);
}

// As if something were swapped out: then mincore is not believed.
TEST(RootsRefused, WhereSomethingMayBeSwappedOut) {
  if (kHasShadow) GTEST_SKIP() << "not run: the sanitizer's shadow is too large";
  for (const std::initializer_list<unsigned>& denied :
       {std::initializer_list<unsigned>{SYS_sysinfo}, std::initializer_list<unsigned>{SYS_sysinfo, SYS_ioctl}}) {
    EXPECT_EQ(in_a_child([&] {
                deny(denied);
                PrivateMemory memory;
                RootSet set(memory);
                return roots_are_right(set) && set.gaps().unread.refused == 0;
              }),
              kGood);
  }
}

// The kernel calls a guard page swapped out.
TEST(RootsRefused, NotGuardPagesWhereSomethingMayBeSwappedOut) {
  if (kHasShadow) GTEST_SKIP() << "not run: the sanitizer's shadow is too large";
  constexpr int kInstallGuard = 102;  // MADV_GUARD_INSTALL
  char* pages = map_pages(3);
  memset(pages, 1, 3 * kPage);
  if (madvise(pages + kPage, kPage, kInstallGuard) != 0) GTEST_SKIP() << "not run: Linux before 6.13";
  for (const std::initializer_list<unsigned>& denied :
       {std::initializer_list<unsigned>{SYS_sysinfo}, std::initializer_list<unsigned>{SYS_sysinfo, SYS_ioctl}}) {
    EXPECT_EQ(in_a_child([&] {
                deny(denied);
                PrivateMemory memory;
                RootSet set(memory);
                return roots_are_right(set) && has(set, pages) && !has(set, pages + kPage) &&
                       has(set, pages + 2 * kPage);
              }),
              kGood);
  }
  munmap(pages, 3 * kPage);
}

// The address of something on the stack of a thread that has ended.
char* ended_stack() {
  char* place = nullptr;
  std::thread([&] {
    char on_stack[16] = {1};
    place = on_stack;
    __asm__ volatile("" ::"r"(place) : "memory");
  }).join();
  return place;
}

TEST(RootsRefused, WithoutReadingMemoryThroughTheKernelEndedStacksAreRoots) {
  EXPECT_EQ(in_a_child([] {
              char* place = ended_stack();
              PrivateMemory memory;
              RootSet known(memory), unknown(memory);
              const bool right = roots_are_right(known) && !has(known, place);
              deny({SYS_process_vm_readv});
              return right && roots_are_right(unknown) && has(unknown, place) && unknown.gaps().unknown_stacks == 0;
            }),
            kGood);
}

// The kernel tells nothing of a process whose leader has ended, if it is asked for by the process's number.
TEST(RootsRefused, AfterTheMainThreadHasEnded) {
  static pthread_t main_thread;
  const pid_t child = fork();
  if (child == 0) {
    main_thread = pthread_self();
    std::thread([] {
      pthread_join(main_thread, nullptr);
      PrivateMemory memory;
      RootSet set(memory);
      char* place = ended_stack();
      _exit(roots_are_right(set) && !has(set, place) && !set.gaps().epoll ? kGood : 1);
    }).detach();
    syscall(SYS_exit, 0);  // This thread alone.
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, kGood);
}

// The second step in a copy of the process, which lacks what it was told to leave out.
TEST(RootsRefused, InACopyWhatItLacksIsLeftOut) {
  char* left_out = map_pages(2);
  memset(left_out, 1, 2 * kPage);
  ASSERT_EQ(madvise(left_out, 2 * kPage, MADV_DONTFORK), 0);
  PrivateMemory memory;
  RootSet set(memory);
  const LiveThread self = this_thread();
  RootRequest request;
  request.threads = &self;
  request.thread_count = 1;
  request.tid = self.tid;
  ASSERT_EQ(set.collect(request), RootsResult::kDone);
  EXPECT_EQ(in_a_child([&] {
              return set.find_touched() == RootsResult::kDone && !has(set, left_out) && has(set, &self) &&
                     set.gaps().unread.refused >= 2 * kPage;
            }),
            kGood);
  munmap(left_out, 2 * kPage);
}

}  // namespace
}  // namespace seep::leak_scan
