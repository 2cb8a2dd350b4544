// SPDX-License-Identifier: Apache-2.0
//
// The list of our own mappings; see own_memory.h.
#include "preload/leak_scan/own_memory.h"

#include "record/system.h"

namespace seep::leak_scan {

constinit OwnMemory own_memory;

bool OwnMemory::claim(Entry* entries, unsigned count, uintptr_t start, size_t bytes) noexcept {
  for (unsigned i = 0; i < count; ++i) {
    uintptr_t free = 0;
    if (entries[i].start.load(std::memory_order_relaxed) != 0) continue;
    if (!entries[i].start.compare_exchange_strong(free, start, std::memory_order_relaxed)) continue;
    entries[i].bytes.store(bytes, std::memory_order_release);
    return true;
  }
  return false;
}

bool OwnMemory::free(Entry* entries, unsigned count, uintptr_t start) noexcept {
  for (unsigned i = 0; i < count; ++i) {
    if (entries[i].start.load(std::memory_order_relaxed) != start) continue;
    entries[i].bytes.store(0, std::memory_order_relaxed);
    entries[i].start.store(0, std::memory_order_release);
    return true;
  }
  return false;
}

OwnMemory::Page* OwnMemory::add_page(std::atomic<Page*>& link) noexcept {
  auto* page = static_cast<Page*>(
      sys::map(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
  if (page == nullptr) return nullptr;
  Page* there = nullptr;
  if (link.compare_exchange_strong(there, page, std::memory_order_acq_rel)) return page;
  sys::unmap(page, sizeof(Page));
  return there;
}

bool OwnMemory::note(const void* start, size_t bytes) noexcept {
  const auto address = reinterpret_cast<uintptr_t>(start);
  constexpr size_t kPageBytes = 4096;  // The rest of the last page goes when the mapping goes.
  bytes = (bytes + kPageBytes - 1) & ~(kPageBytes - 1);
  if (claim(first_, kFirstEntries, address, bytes)) return true;
  for (std::atomic<Page*>* link = &pages_;;) {
    Page* page = link->load(std::memory_order_acquire);
    if (page == nullptr) page = add_page(*link);
    if (page == nullptr) break;
    if (claim(page->entries, kPageEntries, address, bytes)) return true;
    link = &page->next;
  }
  unnoted_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void OwnMemory::forget(const void* start) noexcept {
  const auto address = reinterpret_cast<uintptr_t>(start);
  if (free(first_, kFirstEntries, address)) return;
  for (Page* page = pages_.load(std::memory_order_acquire); page != nullptr;
       page = page->next.load(std::memory_order_acquire)) {
    if (free(page->entries, kPageEntries, address)) return;
  }
}

}  // namespace seep::leak_scan
