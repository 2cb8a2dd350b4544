// SPDX-License-Identifier: Apache-2.0
// Work on several threads. Also run under the thread sanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "threads/parallel_tasks.h"
#include "threads/read_ahead.h"

namespace seep {
namespace {

TEST(ParallelTasks, DoesEachOnceOnHoweverManyThreads) {
  for (const size_t threads : {0, 1, 2, 7, 64}) {
    for (const size_t count : {0, 1, 3, 1000}) {
      std::vector<int> done(count);  // Not atomic: what each task writes is its own, and seen at the end.
      run_tasks(count, threads, [&](size_t index) { ++done[index]; });
      EXPECT_EQ(done, std::vector<int>(count, 1)) << threads;
    }
  }
}

TEST(ParallelTasks, UsesNoMoreThreadsThanItMay) {
  std::atomic<int> now{0}, most{0};
  run_tasks(500, 3, [&](size_t) {
    const int running = ++now;
    for (int seen = most; running > seen && !most.compare_exchange_weak(seen, running);) {
    }
    --now;
  });
  EXPECT_LE(most, 3);
}

TEST(ParallelTasks, ThrowsWhatATaskThrewWhenAllHaveEnded) {
  for (const size_t threads : {1, 4}) {
    std::atomic<int> running{0};
    EXPECT_THROW(run_tasks(100, threads,
                           [&](size_t index) {
                             ++running;
                             if (index == 17) {
                               --running;
                               throw std::runtime_error("17");
                             }
                             --running;
                           }),
                 std::runtime_error);
    EXPECT_EQ(running, 0);
  }
}

// Strings that are used again: what the reader left in one is what the other side sees.
TEST(ReadAhead, GivesAllItemsInTheirOrder) {
  for (const int count : {0, 1, 3, 4, 5, 2000}) {
    int made = 0;
    ReadAhead<std::string> items([&](std::string& into) {
      if (made == count) return false;
      into.assign(static_cast<size_t>(made % 100), static_cast<char>('a' + made % 26));
      ++made;
      return true;
    });
    int taken = 0;
    while (const std::string* item = items.next()) {
      ASSERT_EQ(*item, std::string(static_cast<size_t>(taken % 100), static_cast<char>('a' + taken % 26)));
      ++taken;
    }
    EXPECT_EQ(taken, count);
    EXPECT_EQ(items.next(), nullptr) << "after the end";
  }
}

TEST(ReadAhead, ThrowsWhatTheReaderThrewAfterWhatItRead) {
  int made = 0;
  ReadAhead<int> items([&](int& into) {
    if (made == 10) throw std::runtime_error("10");
    into = made++;
    return true;
  });
  for (int item = 0; item < 10; ++item) ASSERT_EQ(*items.next(), item);
  EXPECT_THROW(items.next(), std::runtime_error);
}

TEST(ReadAhead, EndsWhenNobodyWantsMore) {
  std::atomic<int> made{0};
  for (int taken = 0; taken < 6; ++taken) {
    ReadAhead<int> items([&](int& into) {
      into = ++made;
      return true;
    });
    for (int item = 0; item < taken; ++item) ASSERT_NE(items.next(), nullptr);
  }
  EXPECT_GT(made, 0);
}

}  // namespace
}  // namespace seep
