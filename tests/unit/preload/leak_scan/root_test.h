// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the roots share: threads that stand still where they are told to, and the roots of this process.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include "preload/leak_scan/roots.h"
#include "processor/processor.h"

namespace seep::leak_scan {

inline constexpr uint64_t kPage = 4096;

template <typename T>
uint64_t address_of(const T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

inline char* map_pages(uint64_t pages, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1) {
  void* mapped = mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, flags, fd, 0);
  return mapped == MAP_FAILED ? nullptr : static_cast<char*>(mapped);
}

inline LiveThread this_thread() { return {static_cast<uint32_t>(gettid()), stack_pointer(), thread_pointer()}; }

// Runs `prepare`, and then stands still until it is let go.
class ParkedThread {
 public:
  explicit ParkedThread(std::function<void()> prepare = [] {})
      : thread_([this, prepare = std::move(prepare)] {
          prepare();
          where_ = this_thread();
          parked_ = true;
          parked_.notify_all();
          let_go_.wait(false);
        }) {
    parked_.wait(false);
  }
  ~ParkedThread() {
    let_go_ = true;
    let_go_.notify_all();
    thread_.join();
  }
  [[nodiscard]] const LiveThread& where() const { return where_; }

 private:
  std::atomic<bool> parked_{false}, let_go_{false};
  LiveThread where_{};
  std::thread thread_;
};

class RootsTest : public testing::Test {
 protected:
  PrivateMemory memory;
  HeapPages heap_pages{memory};
  RootSet set{memory};
  RootRequest request;
  std::vector<LiveThread> threads;

  // The caller's stack counts from its own frame on.
  void collect() {
    threads.push_back(this_thread());
    request.threads = threads.data();
    request.thread_count = threads.size();
    request.tid = static_cast<uint32_t>(gettid());
    ASSERT_EQ(set.collect(request), RootsResult::kDone);
    ASSERT_EQ(set.find_touched(), RootsResult::kDone);
    threads.pop_back();
    check_form();
  }

  template <typename T>
  [[nodiscard]] bool is_root(const T* place) const {
    return find(set.roots(), address_of(place));
  }
  template <typename T>
  [[nodiscard]] bool may_be_read(const T* place) const {
    return find(set.readable(), address_of(place));
  }
  // How many aligned words of the roots are this one, of which only `hidden` ^ kMask stands anywhere here.
  static constexpr uint64_t kMask = 0x5A5A5A5A5A5A5A5A;
  [[nodiscard]] __attribute__((noinline)) unsigned count_in_roots(uint64_t hidden) const {
    unsigned count = 0;
    for (const Root& root : set.roots()) count += count_words(root, hidden);
    return count;
  }

 private:
  template <typename Ranges>
  static bool find(const Ranges& ranges, uint64_t address) {
    for (const auto& range : ranges) {
      if (range.start <= address && address < range.end) return true;
    }
    return false;
  }
  __attribute__((no_sanitize_address)) static unsigned count_words(const Root& root, uint64_t hidden) {
    unsigned count = 0;
    for (uint64_t at = root.start; at < root.end; at += sizeof(uint64_t)) {
      count += (*reinterpret_cast<const volatile uint64_t*>(at) ^ kMask) == hidden;
    }
    return count;
  }
  void check_form() const {
    uint64_t end = 0;
    for (const Root& root : set.roots()) {
      ASSERT_LE(end, root.start);
      ASSERT_LT(root.start, root.end);
      ASSERT_EQ((root.start | root.end) % sizeof(uint64_t), 0u);
      end = root.end;
    }
    end = 0;
    for (const Range& range : set.readable()) {
      ASSERT_LE(end, range.start);
      ASSERT_LT(range.start, range.end);
      end = range.end;
    }
  }
};

}  // namespace seep::leak_scan
