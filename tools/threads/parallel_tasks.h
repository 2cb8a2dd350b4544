// SPDX-License-Identifier: Apache-2.0
// Independent tasks on a bounded number of threads, the caller's among them.
#pragma once

#include <absl/functional/function_ref.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace seep {

// Calls `task(0)` to `task(count - 1)`, each once, in this order as far as threads are free, and returns when all are
// done. Where the system gives no more threads, fewer do it. Of several exceptions one is thrown, at the end; tasks
// that had not begun by then are left out.
inline void run_tasks(size_t count, size_t threads, absl::FunctionRef<void(size_t)> task) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto work = [&] {
    try {
      for (size_t index; (index = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(index);
    } catch (...) {
      next.store(count, std::memory_order_relaxed);
      const std::lock_guard<std::mutex> lock(mutex);
      thrown = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  try {
    while (others.size() + 1 < std::min(threads, count)) others.emplace_back(work);
  } catch (const std::system_error&) {
  }
  work();
  for (std::thread& other : others) other.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace seep
