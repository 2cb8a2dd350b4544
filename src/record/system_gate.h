// SPDX-License-Identifier: Apache-2.0
//
// Which system calls we may make. All of them, until the host sandboxes itself: a seccomp filter may kill the process
// for a call that it does not know, and the host's author cannot have known of ours. The host's filters are looked at
// before they are installed (preload/host_sandbox.cpp), and a call that one of them would not let pass is refused here
// from then on, with EPERM, so that every caller goes the way that it goes for any call that fails.
//
// In the analyzer it is never closed. Runs inside the host: any thread, signal handlers; lock-free.
#pragma once

#include <atomic>
#include <cstdint>

namespace seep {

class SystemGate {
 public:
  static constexpr unsigned kNumbers = 512;  // Of system calls; a larger one is refused where any is.

  struct Denied {
    uint64_t bits[kNumbers / 64];
    void add(unsigned number) noexcept { bits[number / 64] |= uint64_t{1} << number % 64; }
  };

  [[nodiscard]] bool denies(long number) const noexcept {
    if (__builtin_expect(!any_.load(std::memory_order_relaxed), true)) return false;
    const unsigned long index = static_cast<unsigned long>(number);
    return index >= kNumbers || (denied_[index / 64].load(std::memory_order_relaxed) >> index % 64 & 1) != 0;
  }

  // Besides those that are denied already.
  void close(const Denied& denied) noexcept {
    for (unsigned i = 0; i < kNumbers / 64; ++i) denied_[i].fetch_or(denied.bits[i], std::memory_order_relaxed);
    any_.store(true, std::memory_order_seq_cst);
  }

  // For a filter that the kernel refused after all: what was denied before it, and back to that.
  [[nodiscard]] Denied denied() const noexcept {
    Denied now{};
    for (unsigned i = 0; i < kNumbers / 64; ++i) now.bits[i] = denied_[i].load(std::memory_order_relaxed);
    return now;
  }
  void open_to(const Denied& before) noexcept {
    uint64_t left = 0;
    for (unsigned i = 0; i < kNumbers / 64; ++i) {
      denied_[i].store(before.bits[i], std::memory_order_relaxed);
      left |= before.bits[i];
    }
    any_.store(left != 0, std::memory_order_seq_cst);
  }

 private:
  std::atomic<bool> any_{false};
  std::atomic<uint64_t> denied_[kNumbers / 64]{};
};

[[gnu::visibility("hidden")]] extern constinit SystemGate system_gate;

}  // namespace seep
