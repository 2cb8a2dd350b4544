// SPDX-License-Identifier: Apache-2.0
//
// What the tests of stopping threads share: threads that do something known, and what the kernel says of them.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "preload/clock.h"
#include "preload/leak_scan/stop_threads.h"

namespace seep::leak_scan {

inline constexpr uint64_t kSecond = 1'000'000'000;
inline constexpr StopOptions kByPtrace{.by_ptrace = true, .by_signal = false, .may_declare_tracer = false};
inline constexpr StopOptions kBySignal{.by_ptrace = false, .by_signal = true, .may_declare_tracer = false};

inline pid_t thread_id() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// Whether `condition` came true within the bound.
template <typename Condition>
bool comes_true(Condition condition, std::chrono::seconds most = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

// proc(5): R runs, S sleeps, t is stopped by a tracer; 0: there is no such thread.
inline char state_of(pid_t tid) {
  std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/stat");
  std::string text;
  std::getline(file, text);
  const size_t at = text.rfind(") ");
  return at == std::string::npos ? '\0' : text[at + 2];
}

inline std::string status_field(pid_t tid, const std::string& name) {
  std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":\t", 0) == 0) return line.substr(name.size() + 2);
  }
  return {};
}

inline const StoppedThread* find(const ThreadStop& stop, pid_t tid) {
  for (uint32_t i = 0; i < stop.threads().size(); ++i) {
    if (stop.threads()[i].tid == tid) return &stop.threads()[i];
  }
  return nullptr;
}

inline bool holds(const StoppedThread& thread, uint64_t word) {
  for (uint32_t i = 0; i < thread.word_count; ++i) {
    if (thread.words[i] == word) return true;
  }
  return false;
}

// A scanner with memory of its own.
struct Scanner {
  PrivateMemory memory;
  ThreadStop threads{memory};

  StopResult stop(StopOptions options = {}, uint64_t within_ns = 20 * kSecond) {
    return threads.stop(monotonic_ns() + within_ns, options);
  }
};

// Threads that count, each for itself, until they are told to end.
class CountingThreads {
 public:
  explicit CountingThreads(
      size_t count, std::function<void()> at_first = [] {})
      : counters_(count) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, i, at_first] {
        at_first();
        counters_[i].tid = thread_id();
        while (!end_.load(std::memory_order_relaxed)) counters_[i].value.fetch_add(1, std::memory_order_relaxed);
      });
    }
    for (const Counter& counter : counters_) {
      EXPECT_TRUE(comes_true([&] { return counter.value > 0; }));
    }
  }
  ~CountingThreads() {
    end_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  CountingThreads(const CountingThreads&) = delete;
  CountingThreads& operator=(const CountingThreads&) = delete;

  [[nodiscard]] size_t size() const { return counters_.size(); }
  [[nodiscard]] pid_t tid(size_t index) const { return counters_[index].tid; }
  void read(std::vector<uint64_t>& into) const {  // Of the right size already: allocates nothing.
    for (size_t i = 0; i < counters_.size(); ++i) into[i] = counters_[i].value.load();
  }
  [[nodiscard]] bool all_go_on() const {
    std::vector<uint64_t> before(size());
    read(before);
    for (size_t i = 0; i < size(); ++i) {
      if (!comes_true([&] { return counters_[i].value.load() != before[i]; })) return false;
    }
    return true;
  }

 private:
  struct alignas(64) Counter {
    std::atomic<uint64_t> value{0};
    std::atomic<pid_t> tid{0};
  };
  std::vector<Counter> counters_;
  std::vector<std::thread> threads_;
  std::atomic<bool> end_{false};
};

// Makes system calls and nothing else, for a while in which a thread that runs would be seen to.
inline void let_time_pass(int milliseconds = 5) {
  const timespec time{0, milliseconds * 1'000'000L};
  syscall(SYS_nanosleep, &time, nullptr);
}

// Runs `check` in a child of one thread; its messages are on stderr. Its status: 0 where nothing failed.
inline int in_child(const std::function<void()>& check) {
  const pid_t child = fork();
  if (child == 0) {
    const bool had_failed = ::testing::Test::HasFailure();
    alarm(60);
    check();
    _exit(::testing::Test::HasFailure() && !had_failed ? 1 : 0);
  }
  int status = -1;
  while (waitpid(child, &status, 0) == -1 && errno == EINTR) {
  }
  return status;
}

}  // namespace seep::leak_scan
