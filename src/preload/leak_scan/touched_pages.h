// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a mapping hold anything. A page that was never written reads as zeros, or as its file; to look into it
// would cost the host page tables or memory, and may raise a signal (behind the end of a file, a guard page) or wait
// for the host itself (userfaultfd). So only pages that are there are looked into:
//
//     private, anonymous      present or swapped out
//     private, of a file      the same; where /proc/self/pagemap may not be read, what the page cache has of it, too
//     .. not writable (any more), not executable: its pages that are not the file's
//     shared                  in the page cache. Of those that have been swapped out or written back nothing is known
//
// Three ways to ask, measured for 1 GiB on Linux 6.18: mincore(2) 0.5 ms when all is present and 0.8 ms when nothing
// is, but does not know what is swapped out; PAGEMAP_SCAN (Linux 6.7) 27 ms and 1 us; reading pagemap 24 ms and 0.9 ms.
// So: mincore, where nothing is swapped out, and PAGEMAP_SCAN across holes.
//
// Runs inside the host while its other threads stand still, or in a copy of it; aside, since pagemap is a file. One
// thread.
#pragma once

#include <cstdint>

#include "preload/leak_scan/block_index.h"
#include "preload/leak_scan/memory_map.h"
#include "preload/leak_scan/ranges.h"

namespace seep::leak_scan {

struct TouchedRun {
  uint64_t start, end;
  uint64_t mapping;  // Its number.
};

// Bytes that were not looked into though something may be there, by why.
struct UnreadBytes {
  uint64_t device = 0;        // Device memory.
  uint64_t perhaps_gone = 0;  // Swapped out or written back, or never there: the kernel does not tell which.
  uint64_t refused = 0;       // The kernel says they are there and does not read them.
};

struct PagemapRegion {  // page_region of linux/fs.h, since Linux 6.7.
  uint64_t start, end, categories;
};

class TouchedPages {
 public:
  static constexpr uint64_t kRuns = 2048, kRegions = 256;
  struct Buffers {
    unsigned char resident[16384];
    PagemapRegion regions[kRegions];
    TouchedRun runs[kRuns];
  };

  TouchedPages(Buffers& buffers, UnreadBytes& unread, Deadline deadline) noexcept;
  ~TouchedPages();
  TouchedPages(const TouchedPages&) = delete;
  TouchedPages& operator=(const TouchedPages&) = delete;

  // Puts runs of [from, mapping.end) into the buffer until it is full. Returns how far it got: the mapping's end, or
  // where to go on with an empty buffer. Where the deadline passes, nothing that it has found is of use.
  uint64_t find(const Mapping& mapping, uint64_t number, uint64_t from) noexcept;
  [[nodiscard]] uint64_t runs() const noexcept { return run_count_; }
  [[nodiscard]] bool out_of_time() const noexcept { return out_of_time_; }

 private:
  static constexpr uint64_t kPageBytes = 4096;
  static constexpr uint64_t kChunkBytes = sizeof(Buffers::resident) * kPageBytes;

  // Asked before each chunk of work.
  [[nodiscard]] bool may_go_on() noexcept {
    out_of_time_ = out_of_time_ || deadline_.passed();
    return has_room() && !out_of_time_;
  }
  [[nodiscard]] bool has_room() const noexcept { return run_count_ < kRuns; }
  void add(uint64_t start, uint64_t end) noexcept;
  uint64_t find_private(const Mapping& mapping, uint64_t from) noexcept;
  uint64_t find_resident(uint64_t from, uint64_t end, uint64_t& resident_bytes) noexcept;
  uint64_t find_in_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept;
  uint64_t scan_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept;
  uint64_t read_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept;
  uint64_t skip_hole(uint64_t from, uint64_t end) noexcept;
  long ask_scan(uint64_t from, uint64_t end, uint64_t most_regions, uint64_t most_pages, uint64_t& walked_to) noexcept;
  [[nodiscard]] uint64_t add_swapped(uint64_t start, uint64_t end) noexcept;
  void drop_unreadable_end(uint64_t first_run, const Mapping& mapping) noexcept;

  Buffers& buffers_;
  UnreadBytes& unread_;
  long pagemap_ = -1;
  bool can_scan_ = false;
  bool swap_in_use_ = true;
  const Deadline deadline_;
  bool out_of_time_ = false;
  uint64_t run_count_ = 0;
  uint64_t mapping_number_ = 0;
};

}  // namespace seep::leak_scan
