// SPDX-License-Identifier: Apache-2.0
//
// The functions of the sanitizer that is in the process (other_tools.h) behind ours of the same name. Its own calls of
// them come to us, too: from within its free, while it looks up something by dlsym. So they are found without dlsym, in
// the symbol table of its runtime, and without memory or a lock. Runs inside the host, any thread.
#pragma once

#include <atomic>

namespace seep {

// Null: there is no sanitizer, or it has no such function.
[[nodiscard]] void* find_in_sanitizer(const char* symbol) noexcept;

// The same, remembered.
template <typename Function>
class SanitizerCall {
 public:
  explicit constexpr SanitizerCall(const char* symbol) : symbol_(symbol) {}

  [[nodiscard]] Function function() noexcept {
    Function found = found_.load(std::memory_order_relaxed);
    if (found == nullptr && !is_known_.load(std::memory_order_acquire)) {
      found = reinterpret_cast<Function>(find_in_sanitizer(symbol_));
      found_.store(found, std::memory_order_relaxed);
      is_known_.store(true, std::memory_order_release);
    }
    return found;
  }

 private:
  const char* symbol_;
  std::atomic<Function> found_{nullptr};
  std::atomic<bool> is_known_{false};
};

}  // namespace seep
