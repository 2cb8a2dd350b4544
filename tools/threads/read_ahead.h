// SPDX-License-Identifier: Apache-2.0
// Reading ahead: items are read by a thread of its own while others are being worked on, in the same order.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace seep {

// Owns its thread and a few items, which are used again and again: what they hold is there for whoever reads into them.
// Two threads: the one that has it calls next(), the other one `read`.
template <typename Item>
class ReadAhead {
 public:
  // `read(item)` gives false at the end. Where the system gives no thread, next() reads.
  explicit ReadAhead(std::function<bool(Item&)> read) : read_(std::move(read)) {
    try {
      thread_ = std::thread([this] { read_all(); });
    } catch (const std::system_error&) {
    }
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  // The next item, good until the next call; null at the end. Throws what `read` threw, after all that was read before.
  const Item* next() {
    if (!thread_.joinable()) return read_(items_[0]) ? &items_[0] : nullptr;
    std::unique_lock<std::mutex> lock(mutex_);
    if (std::exchange(holds_one_, false)) ++taken_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return taken_ < made_ || ended_; });
    if (taken_ == made_) {
      if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
      return nullptr;
    }
    holds_one_ = true;
    return &items_[taken_ % kItems];
  }

 private:
  static constexpr size_t kItems = 4;

  void read_all() {
    try {
      while (Item* free = next_free()) {
        if (!read_(*free)) break;
        made_one();
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      thrown_ = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  Item* next_free() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return made_ - taken_ < kItems || stopped_; });
    return stopped_ ? nullptr : &items_[made_ % kItems];
  }

  void made_one() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++made_;
    changed_.notify_all();
  }

  std::function<bool(Item&)> read_;
  std::array<Item, kItems> items_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t made_ = 0;   // Items that were read, and
  size_t taken_ = 0;  // that are done with.
  bool holds_one_ = false;
  bool ended_ = false;
  bool stopped_ = false;
  std::exception_ptr thrown_;
  std::thread thread_;
};

}  // namespace seep
