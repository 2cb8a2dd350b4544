// SPDX-License-Identifier: Apache-2.0
//
// Which mappings are seep's own: PrivateMemory notes each that it takes. A leak scan must not look for the
// program's pointers there, since our tables hold the address of every block. The kernel could be told a name for them
// that /proc/self/maps shows, but only since Linux 5.17, and where it was built to; hence this list.
//
// A list of pages of entries; an entry is claimed by CAS and freed by a store, and the list only grows. Runs inside the
// host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep::leak_scan {

class OwnMemory {
 public:
  constexpr OwnMemory() = default;

  // False: no memory for another page of entries; the mapping is not known for ours then, and counted.
  bool note(const void* start, size_t bytes) noexcept;
  void forget(const void* start) noexcept;

  [[nodiscard]] uint32_t unnoted() const noexcept { return unnoted_.load(std::memory_order_relaxed); }

  // Calls visit(start, end) for each.
  template <typename Visit>
  void each(Visit visit) const noexcept;

 private:
  struct Entry {
    std::atomic<uintptr_t> start;  // 0: free. Written before `bytes`, which is 0 until all is there.
    std::atomic<size_t> bytes;
  };
  static constexpr unsigned kFirstEntries = 128;
  static constexpr unsigned kPageEntries = 255;
  struct Page {
    Entry entries[kPageEntries];
    std::atomic<Page*> next;
  };
  static_assert(sizeof(Page) <= 4096);

  [[nodiscard]] static bool claim(Entry* entries, unsigned count, uintptr_t start, size_t bytes) noexcept;
  [[nodiscard]] static bool free(Entry* entries, unsigned count, uintptr_t start) noexcept;
  [[nodiscard]] static Page* add_page(std::atomic<Page*>& link) noexcept;

  Entry first_[kFirstEntries]{};
  std::atomic<Page*> pages_{nullptr};
  std::atomic<uint32_t> unnoted_{0};
};

[[gnu::visibility("hidden")]] extern constinit OwnMemory own_memory;

template <typename Visit>
void OwnMemory::each(Visit visit) const noexcept {
  const auto visit_all = [&](const Entry* entries, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const size_t bytes = entries[i].bytes.load(std::memory_order_acquire);
      const uintptr_t start = entries[i].start.load(std::memory_order_relaxed);
      if (bytes != 0 && start != 0) visit(start, start + bytes);
    }
  };
  visit_all(first_, kFirstEntries);
  for (const Page* page = pages_.load(std::memory_order_acquire); page != nullptr;
       page = page->next.load(std::memory_order_acquire)) {
    visit(reinterpret_cast<uintptr_t>(page), reinterpret_cast<uintptr_t>(page) + sizeof(Page));
    visit_all(page->entries, kPageEntries);
  }
}

}  // namespace seep::leak_scan
