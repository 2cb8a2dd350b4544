// SPDX-License-Identifier: Apache-2.0
//
// An array in private memory that grows. Grown outside of work that is done aside (record/aside.h), since the memory
// it asks for may be asked for aside, too. Runs inside the host, one thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "preload/private_memory.h"

namespace seep::leak_scan {

template <typename T>
class GrowingArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit GrowingArray(PrivateMemory& memory) noexcept : memory_(memory) {}
  ~GrowingArray() { release(); }
  GrowingArray(const GrowingArray&) = delete;
  GrowingArray& operator=(const GrowingArray&) = delete;

  [[nodiscard]] uint64_t size() const noexcept { return size_; }
  [[nodiscard]] uint64_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] T* data() noexcept { return items_; }
  [[nodiscard]] const T* data() const noexcept { return items_; }
  [[nodiscard]] T& operator[](uint64_t index) noexcept { return items_[index]; }
  [[nodiscard]] const T& operator[](uint64_t index) const noexcept { return items_[index]; }
  [[nodiscard]] const T* begin() const noexcept { return items_; }
  [[nodiscard]] const T* end() const noexcept { return items_ + size_; }

  void clear() noexcept { size_ = 0; }
  void shrink_to(uint64_t size) noexcept { size_ = size; }
  void release() noexcept {
    if (items_ != nullptr) memory_.give_back(items_, capacity_ * sizeof(T));
    items_ = nullptr;
    size_ = capacity_ = 0;
  }

  // False: there is no memory, and nothing has changed.
  [[nodiscard]] bool reserve(uint64_t capacity) noexcept {
    if (capacity <= capacity_) return true;
    // Of pages, where it is not small (PrivateMemory).
    constexpr uint64_t kPageBytes = 4096, kLeastBytes = 512;
    const uint64_t unit = capacity * sizeof(T) < kPageBytes ? kLeastBytes : kPageBytes;
    const uint64_t bytes = (capacity * sizeof(T) + unit - 1) / unit * unit;
    T* more = static_cast<T*>(memory_.take(bytes / sizeof(T) * sizeof(T)));
    if (more == nullptr) return false;
    if (size_ > 0) memcpy(more, items_, size_ * sizeof(T));
    if (items_ != nullptr) memory_.give_back(items_, capacity_ * sizeof(T));
    items_ = more;
    capacity_ = bytes / sizeof(T);
    return true;
  }
  [[nodiscard]] bool add(const T& item) noexcept {
    if (size_ == capacity_ && !reserve(capacity_ == 0 ? 1 : capacity_ * 2)) return false;
    items_[size_++] = item;
    return true;
  }
  // Where it fits without growing.
  [[nodiscard]] bool add_if_room(const T& item) noexcept {
    if (size_ == capacity_) return false;
    items_[size_++] = item;
    return true;
  }

 private:
  PrivateMemory& memory_;
  T* items_ = nullptr;
  uint64_t size_ = 0;
  uint64_t capacity_ = 0;
};

}  // namespace seep::leak_scan
