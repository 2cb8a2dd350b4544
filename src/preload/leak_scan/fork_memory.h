// SPDX-License-Identifier: Apache-2.0
//
// The memory that a copy of the process does not get: the host has said so by madvise(2), MADV_DONTFORK (the copy has
// nothing there) or MADV_WIPEONFORK (it has zeros). A scan in a copy has to read it before, in the host itself.
//
// A list of fixed length. Where it overflows that is said, and holds from then on: nothing can be said of a copy. What
// a program maps or advises without libc is not seen here (host_memory.cpp); nor is device memory that its driver keeps
// from copies.
//
//     an entry:   | pages: 28 bits | first page: 35 bits | kind: 1 bit |    0: free
//
// An entry is one word, so that each change is one CAS: one that reads sees all of a range before and all after, never
// less. Ranges may overlap; and may stay where nothing is mapped any more, or something else: more is read then than
// need be.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep::leak_scan {

class ForkMemory {
 public:
  enum Kind : uint8_t { kNotCopied, kWiped };
  using Kinds = uint8_t;  // Bit n: Kind n.
  static constexpr Kinds kBoth = 3;
  static constexpr unsigned kEntries = 128;

  constexpr ForkMemory() = default;

  // Of all pages that [start, start + bytes) touches. Before the call that makes it so.
  void note(Kinds kinds, uintptr_t start, size_t bytes) noexcept;
  // After the call that makes it not so. Which kinds there were.
  Kinds forget(Kinds kinds, uintptr_t start, size_t bytes) noexcept;
  [[nodiscard]] Kinds kinds_in(uintptr_t start, size_t bytes) const noexcept;

  // While a mapping is on its way to another address (mremap), nothing is known.
  void begin_move() noexcept { moves_.fetch_add(1, std::memory_order_acq_rel); }
  void end_move() noexcept { moves_.fetch_sub(1, std::memory_order_acq_rel); }

  [[nodiscard]] bool any() const noexcept {
    return used_.load(std::memory_order_acquire) != 0 && kinds_in(0, kMostBytes) != 0;
  }
  [[nodiscard]] bool overflowed() const noexcept {
    return full_.load(std::memory_order_acquire) || moves_.load(std::memory_order_acquire) != 0;
  }
  // Calls visit(start, end) for each range: addresses, multiples of the page size.
  template <typename Visit>
  void each(Visit visit) const noexcept {
    for (unsigned i = 0, used = used_.load(std::memory_order_acquire); i < used; ++i) {
      const Entry entry = unpack(entries_[i].load(std::memory_order_acquire));
      if (entry.end != 0) visit(entry.first << kPageBits, entry.end << kPageBits);
    }
  }

 private:
  static constexpr unsigned kPageBits = 12;
  static constexpr unsigned kAddressBits = 47;  // Of what the kernel gives unless it is asked for more.
  static constexpr unsigned kCountBits = 28;    // 1 TiB.
  static constexpr size_t kMostBytes = size_t{1} << kAddressBits;
  static constexpr uint64_t kMostPages = uint64_t{1} << (kAddressBits - kPageBits);
  static constexpr uint64_t kMostPagesOfEntry = (uint64_t{1} << kCountBits) - 1;

  struct Entry {
    uint64_t first, end;  // Pages, [first, end); end 0: it is free.
    Kind kind;
  };
  static uint64_t pack(const Entry& entry) noexcept {
    return (entry.end - entry.first) << (64 - kCountBits) | entry.first << 1 | entry.kind;
  }
  static Entry unpack(uint64_t word) noexcept {
    const uint64_t first = (word >> 1) & (kMostPages - 1), pages = word >> (64 - kCountBits);
    return {first, pages == 0 ? 0 : first + pages, static_cast<Kind>(word & 1)};
  }
  struct Pages {
    uint64_t first, end;
  };
  static Pages pages_of(uintptr_t start, size_t bytes) noexcept;

  [[nodiscard]] bool note_in_known(const Entry& wanted) noexcept;
  [[nodiscard]] bool note_in_free(const Entry& wanted) noexcept;
  [[nodiscard]] bool cut_out(std::atomic<uint64_t>& place, Kinds kinds, const Pages& pages) noexcept;

  std::atomic<uint64_t> entries_[kEntries]{};
  std::atomic<unsigned> used_{0};  // Entries behind this have never been used.
  std::atomic<unsigned> moves_{0};
  std::atomic<bool> full_{false};
};

[[gnu::visibility("hidden")]] extern constinit ForkMemory fork_memory;

}  // namespace seep::leak_scan
