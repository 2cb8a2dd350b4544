// SPDX-License-Identifier: Apache-2.0
//
// The working memory: private, anonymous, zeroed, taken in whole blocks and never given back while others may still
// read it. Everything that seep takes besides the recording goes through here, so that `max_memory` holds and a
// snapshot can say what seep costs. Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep {

class PrivateMemory {
 public:
  constexpr explicit PrivateMemory(uint64_t limit_bytes = 0) : limit_bytes_(limit_bytes) {}

  // For one piece of work, on one thread: small blocks come out of these zeros, which are of the `whole` and go when
  // the work is done, so that each does not cost a mapping and a page of its own; larger ones of the `whole` itself.
  PrivateMemory(PrivateMemory& whole, char* zeros, size_t bytes) noexcept
      : limit_bytes_(0), whole_(&whole), zeros_(zeros), zeros_bytes_(bytes) {}

  void set_limit(uint64_t limit_bytes) noexcept { limit_bytes_ = limit_bytes; }  // 0: none. Before other threads.

  // Null where the kernel or the limit refuses.
  [[nodiscard]] void* take(size_t bytes) noexcept;
  void give_back(void* memory, size_t bytes) noexcept;  // Only what nobody else has seen.

  // The same for a table of which little is used, mostly: there must be room for all of it, and what is used counts
  // when that is told.
  [[nodiscard]] void* reserve(size_t bytes) noexcept;
  void count_used(size_t bytes) noexcept { used_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  [[nodiscard]] uint64_t used_bytes() const noexcept { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kSmallBytes = 8 << 10, kSmallUnitBytes = 64;

  [[nodiscard]] static void* map(size_t bytes) noexcept;
  [[nodiscard]] void* take_small(size_t bytes) noexcept;

  std::atomic<uint64_t> used_bytes_{0};
  uint64_t limit_bytes_;
  PrivateMemory* whole_ = nullptr;
  char* zeros_ = nullptr;
  size_t zeros_bytes_ = 0, zeros_used_ = 0;
};

}  // namespace seep
