// SPDX-License-Identifier: Apache-2.0
//
// A pointer in each kind of place where a program keeps one lies in a root, or is reported as a word of the kernel's;
// one where nothing of the program's can be lies in none. The truth is the place's address, known to the test.
#include "preload/leak_scan/roots.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "root_test.h"

namespace seep::leak_scan {
namespace {

uint64_t global_data = 1;
uint64_t global_bss;
thread_local uint64_t static_tls = 2;

bool contains(const GrowingArray<uint64_t>& words, uint64_t wanted) {
  return std::find(words.begin(), words.end(), wanted) != words.end();
}

// The address of a byte in a frame that has been left, this deep.
__attribute__((noinline)) uint64_t dirty_the_stack(size_t depth_bytes) {
  auto* used = static_cast<volatile char*>(__builtin_alloca(depth_bytes));
  for (size_t i = 0; i < depth_bytes; ++i) used[i] = 1;
  return reinterpret_cast<uint64_t>(used);
}

class Library {
 public:
  Library() : handle_(dlopen(ROOT_LIBRARY, RTLD_NOW)) {}
  ~Library() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  uint64_t* find(const char* name) { return static_cast<uint64_t*>(dlsym(handle_, name)); }
  uint64_t* thread_local_data() {
    return reinterpret_cast<uint64_t* (*)()>(dlsym(handle_, "address_of_library_tls"))();
  }

 private:
  void* handle_;
};

// ---- Roots.

TEST_F(RootsTest, DataOfTheProgramAndOfALibrary) {
  Library library;
  ASSERT_NE(library.find("library_data"), nullptr);
  *library.find("library_bss") = global_bss = 5;
  collect();
  EXPECT_TRUE(is_root(&global_data));
  EXPECT_TRUE(is_root(&global_bss));
  EXPECT_TRUE(is_root(library.find("library_data")));
  EXPECT_TRUE(is_root(library.find("library_bss")));
}

// A page of the set was the heap's until the library was loaded there: file pages are never heap.
TEST_F(RootsTest, DataOfALibraryWhereHeapHasBeen) {
  Library library;
  uint64_t* data = library.find("library_data");
  heap_pages.add(address_of(data), 8);
  request.heap_pages = &heap_pages;
  collect();
  EXPECT_TRUE(is_root(data));
}

TEST_F(RootsTest, StacksFromTheStackPointerOn) {
  uint64_t on_own_stack = 1;
  ParkedThread parked;
  threads = {parked.where()};
  collect();
  EXPECT_TRUE(is_root(&on_own_stack));
  EXPECT_TRUE(is_root(reinterpret_cast<char*>(parked.where().sp - 128)));
  EXPECT_TRUE(is_root(reinterpret_cast<char*>(parked.where().thread_pointer)));
  EXPECT_EQ(set.gaps().unknown_stacks, 0u);
}

TEST_F(RootsTest, StaticThreadLocalStorage) {
  uint64_t* place = nullptr;
  ParkedThread parked([&] { place = &static_tls; });
  threads = {parked.where()};
  collect();
  EXPECT_TRUE(is_root(&static_tls));
  EXPECT_TRUE(is_root(place));
}

// A library's block is one of malloc's, which the thread's DTV points to the start of; and the DTV is one, too.
TEST_F(RootsTest, DynamicThreadLocalStorageHangsFromTheDtv) {
  Library library;
  uint64_t* place = nullptr;
  ParkedThread parked([&] { place = library.thread_local_data(); });
  threads = {parked.where()};
  collect();
  const uint64_t dtv = reinterpret_cast<uint64_t*>(parked.where().thread_pointer)[1] - 16;
  ASSERT_TRUE(contains(set.thread_words(), dtv));
  const size_t bytes = malloc_usable_size(reinterpret_cast<void*>(dtv));
  ASSERT_GE(bytes, 32u);
  bool found = false;
  for (size_t i = 0; i < bytes / 8; ++i) {
    const uint64_t word = reinterpret_cast<uint64_t*>(dtv)[i];
    found = found || (word != 0 && word <= address_of(place) && address_of(place) < word + 256);
  }
  EXPECT_TRUE(found);
}

TEST_F(RootsTest, DataOfThreadKeys) {
  constexpr uint64_t kHidden = 0x1234567887654321;
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, nullptr), 0);
  ParkedThread parked([&] { pthread_setspecific(key, reinterpret_cast<void*>(kHidden ^ kMask)); });
  threads = {parked.where()};
  collect();
  EXPECT_GE(count_in_roots(kHidden), 1u);
  pthread_key_delete(key);
}

TEST_F(RootsTest, MappingsOfEachKind) {
  char file_name[] = "/tmp/seep_roots_XXXXXX";
  const int file = mkstemp(file_name), memory_file = memfd_create("roots", MFD_CLOEXEC);
  ASSERT_EQ(ftruncate(file, 4 * kPage) | ftruncate(memory_file, kPage) | unlink(file_name), 0);
  char* places[] = {map_pages(1),
                    map_pages(1, MAP_SHARED | MAP_ANONYMOUS),
                    map_pages(1, MAP_SHARED, memory_file),
                    map_pages(4, MAP_SHARED, file),
                    map_pages(4, MAP_PRIVATE, file),
                    map_pages(1)};
  for (char* place : places) *reinterpret_cast<uint64_t*>(place) = 1;
  ASSERT_EQ(mprotect(places[5], kPage, PROT_READ), 0);  // Filled, and then sealed.
  collect();
  for (char* place : places) EXPECT_TRUE(is_root(place)) << place - places[0];
  for (char* place : places) munmap(place, kPage);
  close(file);
  close(memory_file);
}

TEST_F(RootsTest, WhatTheKernelHolds) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<int> pipes;
  for (uint64_t i = 0; i < 200; ++i) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pipes.insert(pipes.end(), ends, ends + 2);
    epoll_event event{EPOLLIN, {.u64 = 0xABCD00000000 + i * 16}};
    ASSERT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
  }
  sigevent notify{};
  notify.sigev_notify = SIGEV_SIGNAL;
  notify.sigev_signo = SIGUSR1;
  notify.sigev_value.sival_ptr = reinterpret_cast<void*>(0xFEDC12345670);
  timer_t timer;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &notify, &timer), 0);
  collect();
  EXPECT_FALSE(set.gaps().epoll);
  for (uint64_t i = 0; i < 200; ++i) EXPECT_TRUE(contains(set.kernel_words(), 0xABCD00000000 + i * 16)) << i;
  EXPECT_TRUE(set.gaps().timers || contains(set.kernel_words(), 0xFEDC12345670));
  timer_delete(timer);
  for (const int fd : pipes) close(fd);
  close(epoll);
}

TEST_F(RootsTest, ARegisteredRegionInsideTheHeap) {
  char* page = map_pages(1);
  page[0] = 1;
  heap_pages.add(address_of(page), kPage);
  request.heap_pages = &heap_pages;
  const Range region{address_of(page) + 100, address_of(page) + 200};
  request.regions = &region;
  request.region_count = 1;
  collect();
  EXPECT_FALSE(is_root(page + 99));
  EXPECT_TRUE(is_root(page + 104));
  EXPECT_TRUE(is_root(page + 192 - 1));
  EXPECT_FALSE(is_root(page + 200));
  munmap(page, kPage);
}

// The kernel makes one mapping of two neighbours.
TEST_F(RootsTest, AMappingOfTheProgramBesideTheAllocators) {
  char* pages = map_pages(4);
  memset(pages, 1, 4 * kPage);
  heap_pages.add(address_of(pages + kPage) + 16, kPage);
  request.heap_pages = &heap_pages;
  collect();
  EXPECT_TRUE(is_root(pages));
  EXPECT_FALSE(is_root(pages + kPage));
  EXPECT_FALSE(is_root(pages + 2 * kPage));
  EXPECT_TRUE(is_root(pages + 3 * kPage));
  for (int page = 0; page < 4; ++page) EXPECT_TRUE(may_be_read(pages + page * kPage));
  munmap(pages, 4 * kPage);
}

// Its frames may lie at any depth of it.
TEST_F(RootsTest, TheWholeStackOfAThreadThatIsOnAnotherOne) {
  char* other_stack = map_pages(16);
  uint64_t deep = 0;
  ParkedThread parked([&] { deep = dirty_the_stack(64 << 10); });
  LiveThread elsewhere = parked.where();
  elsewhere.sp = address_of(other_stack) + 8 * kPage;
  memset(other_stack, 1, 16 * kPage);
  threads = {elsewhere};
  collect();
  EXPECT_TRUE(is_root(reinterpret_cast<char*>(deep)));
  EXPECT_TRUE(is_root(other_stack)) << "others may be suspended below in the same memory";
  munmap(other_stack, 16 * kPage);
}

// ---- No roots.

TEST_F(RootsTest, NotTheStackBelowTheStackPointer) {
  uint64_t deep = 0;
  ParkedThread parked([&] { deep = dirty_the_stack(64 << 10); });
  const char* stale = reinterpret_cast<char*>(deep);
  threads = {parked.where()};
  ASSERT_LT(address_of(stale) + 128, parked.where().sp);
  collect();
  EXPECT_FALSE(is_root(stale));
  EXPECT_TRUE(may_be_read(stale));
  volatile char* own = static_cast<char*>(__builtin_frame_address(0)) - (32 << 10);
  EXPECT_FALSE(is_root(own));
}

TEST_F(RootsTest, NotTheStackOfAThreadThatHasEnded) {
  ParkedThread neighbour;  // Its stack lies beside the other.
  uint64_t* place = nullptr;
  std::thread([&] {
    uint64_t on_stack = 1;
    place = &on_stack;
  }).join();
  unsigned char resident;
  ASSERT_EQ(mincore(reinterpret_cast<void*>(address_of(place) & ~(kPage - 1)), 1, &resident), 0) << "it is kept";
  threads = {neighbour.where()};
  collect();
  EXPECT_GE(set.ended_stacks(), 1u);
  EXPECT_FALSE(is_root(place));
  EXPECT_TRUE(is_root(reinterpret_cast<char*>(neighbour.where().sp)));
}

// What a thread returned waits in its struct pthread for the one that joins it.
TEST_F(RootsTest, TheResultOfAThreadUntilItIsJoined) {
  constexpr uint64_t kHidden = 0x0123456789ABCDEF;
  pthread_t thread;
  uint32_t tid = 0;
  struct Argument {
    uint32_t* tid;
  } argument{&tid};
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* given) {
                  __atomic_store_n(static_cast<Argument*>(given)->tid, gettid(), __ATOMIC_SEQ_CST);
                  return reinterpret_cast<void*>(kHidden ^ kMask);
                },
                &argument),
            0);
  const auto ended = [&] {
    const uint32_t number = __atomic_load_n(&tid, __ATOMIC_SEQ_CST);
    return number != 0 && tgkill(getpid(), static_cast<pid_t>(number), 0) == -1;
  };
  while (!ended()) sched_yield();
  collect();
  EXPECT_GE(set.ended_stacks(), 1u);
  EXPECT_GE(count_in_roots(kHidden), 1u);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  collect();
  EXPECT_EQ(count_in_roots(kHidden), 0u);
}

TEST_F(RootsTest, NotTheArgumentOfADetachedThreadThatHasEnded) {
  constexpr uint64_t kHidden = 0x0123456776543210;
  static std::atomic<uint32_t> tid;
  tid = 0;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* given) {
                  tid = static_cast<uint32_t>(gettid());
                  return given;
                },
                reinterpret_cast<void*>(kHidden ^ kMask)),
            0);
  while (tid == 0 || tgkill(getpid(), static_cast<pid_t>(tid.load()), 0) == 0) sched_yield();
  char used[8192];  // What pthread_create's frames held of it.
  explicit_bzero(used, sizeof used);
  collect();
  EXPECT_GE(set.ended_stacks(), 1u);
  EXPECT_EQ(count_in_roots(kHidden), 0u);
}

TEST_F(RootsTest, NotFreedHeapMemory) {
  std::vector<char*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(static_cast<char*>(malloc(400)));
    memset(blocks.back(), 1, 400);
    heap_pages.add(address_of(blocks.back()), 400);
  }
  for (char* block : blocks) free(block);
  request.heap_pages = &heap_pages;
  collect();
  for (char* block : blocks) ASSERT_FALSE(is_root(block));
}

TEST_F(RootsTest, NotOurOwnMemory) {
  char* ours = static_cast<char*>(memory.take(4 * kPage - 100));
  char* theirs = map_pages(4);  // Right beside it.
  char* given = map_pages(2);
  memset(ours, 1, 4 * kPage);
  memset(theirs, 1, 4 * kPage);
  memset(given, 1, 2 * kPage);
  const Range own{address_of(given), address_of(given) + kPage};
  request.own = &own;
  request.own_count = 1;
  request.own_tls_offset = static_cast<int64_t>(address_of(&static_tls) - thread_pointer());
  request.own_tls_bytes = sizeof static_tls;
  uint64_t* other_tls = nullptr;
  ParkedThread parked([&] { other_tls = &static_tls; });
  threads = {parked.where()};
  collect();
  for (int page = 0; page < 4; ++page) EXPECT_FALSE(is_root(ours + page * kPage) || may_be_read(ours + page * kPage));
  EXPECT_FALSE(is_root(ours + 4 * kPage - 8)) << "the rest of a page is unmapped with it";
  EXPECT_TRUE(is_root(theirs));
  EXPECT_FALSE(is_root(given));
  EXPECT_TRUE(is_root(given + kPage));
  EXPECT_FALSE(is_root(&static_tls));
  EXPECT_FALSE(is_root(other_tls));
  memory.give_back(ours, 4 * kPage - 100);
  munmap(theirs, 4 * kPage);
  munmap(given, 2 * kPage);
}

// ---- Memory that is not there.

TEST_F(RootsTest, NotWhatLiesBehindTheEndOfItsFile) {
  char file_name[] = "/tmp/seep_roots_XXXXXX";
  const int file = mkstemp(file_name);
  ASSERT_EQ(ftruncate(file, 4 * kPage) | unlink(file_name), 0);
  char* pages = map_pages(4, MAP_SHARED, file);
  memset(pages, 1, 4 * kPage);
  ASSERT_EQ(ftruncate(file, kPage), 0);  // From here on a load of the other three is SIGBUS.
  collect();
  EXPECT_TRUE(is_root(pages));
  EXPECT_FALSE(may_be_read(pages + kPage));
  EXPECT_EQ(count_in_roots(0), count_in_roots(0)) << "all of it can be read";
  munmap(pages, 4 * kPage);
  close(file);
}

TEST_F(RootsTest, NotGuardPagesWithinAMapping) {
  constexpr int kInstallGuard = 102;  // MADV_GUARD_INSTALL
  char* pages = map_pages(4);
  memset(pages, 1, 4 * kPage);
  if (madvise(pages + kPage, kPage, kInstallGuard) != 0) GTEST_SKIP() << "not run: Linux before 6.13";
  collect();
  EXPECT_TRUE(is_root(pages));
  EXPECT_FALSE(may_be_read(pages + kPage));
  EXPECT_TRUE(is_root(pages + 2 * kPage));
  munmap(pages, 4 * kPage);
}

TEST_F(RootsTest, OfASparseMappingWhatIsTouched) {
  constexpr uint64_t kPages = (uint64_t{64} << 30) / kPage;
  char* pages = map_pages(kPages, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  ASSERT_NE(pages, nullptr);
  ASSERT_EQ(madvise(pages, kPages * kPage, MADV_NOHUGEPAGE), 0);
  for (const uint64_t page : {uint64_t{1}, kPages / 2 + 17, kPages - 2}) pages[page * kPage] = 1;
  const auto begin = std::chrono::steady_clock::now();
  collect();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::printf("roots: 64 GiB with 3 pages in it: %.2f ms\n", took.count());
  uint64_t bytes = 0;
  for (const Root& root : set.roots()) {
    if (root.start >= address_of(pages) && root.end <= address_of(pages) + kPages * kPage)
      bytes += root.end - root.start;
  }
  EXPECT_EQ(bytes, 3 * kPage);
  munmap(pages, kPages * kPage);
}

TEST_F(RootsTest, OfTenThousandMappingsEach) {
  constexpr uint64_t kMappings = 10'000;
  char* pages = map_pages(2 * kMappings);
  memset(pages, 1, 2 * kMappings * kPage);
  for (uint64_t i = 0; i < kMappings; ++i) mprotect(pages + (2 * i + 1) * kPage, kPage, PROT_NONE);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(set.collect(request), RootsResult::kDone);
  const auto middle = std::chrono::steady_clock::now();
  ASSERT_EQ(set.find_touched(), RootsResult::kDone);
  const std::chrono::duration<double, std::milli> in_process = middle - begin,
                                                  in_copy = std::chrono::steady_clock::now() - middle;
  std::printf("roots: %lu mappings: collect %.2f ms, touched pages %.2f ms\n",
              static_cast<unsigned long>(set.mappings().size()), in_process.count(), in_copy.count());
  collect();
  for (uint64_t i = 0; i < kMappings; ++i) {
    ASSERT_TRUE(is_root(pages + 2 * i * kPage)) << i;
    ASSERT_TRUE(i % 500 != 0 || !may_be_read(pages + (2 * i + 1) * kPage)) << i;
  }
  munmap(pages, 2 * kMappings * kPage);
}

TEST_F(RootsTest, PrintsWhatADenseGigabyteTakes) {
  constexpr uint64_t kPages = (uint64_t{1} << 30) / kPage;
  char* pages = map_pages(kPages);
  ASSERT_NE(pages, nullptr);
  for (uint64_t page = 0; page < kPages; ++page) pages[page * kPage] = 1;
  ASSERT_EQ(set.collect(request), RootsResult::kDone);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(set.find_touched(), RootsResult::kDone);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::printf("roots: touched pages of a full GiB: %.2f ms\n", took.count());
  EXPECT_TRUE(is_root(pages + kPages * kPage - 8));
  munmap(pages, kPages * kPage);
}

}  // namespace
}  // namespace seep::leak_scan
