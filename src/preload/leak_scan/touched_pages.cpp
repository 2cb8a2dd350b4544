// SPDX-License-Identifier: Apache-2.0
//
// Which pages hold anything; see touched_pages.h.
#include "preload/leak_scan/touched_pages.h"

#include <sys/ioctl.h>
#include <sys/sysinfo.h>

#include <algorithm>

#include "preload/leak_scan/process_memory.h"
#include "record/system.h"

namespace seep::leak_scan {
namespace {

// linux/fs.h, since Linux 6.7.
struct PagemapScan {
  uint64_t size, flags, start, end, walk_end, regions, region_count, most_pages;
  uint64_t category_inverted, category_mask, category_any_of_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);
constexpr uint64_t kFile = 1 << 2, kPresent = 1 << 3, kSwapped = 1 << 4, kZeros = 1 << 5;

// An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr uint64_t kEntryPresent = uint64_t{1} << 63, kEntrySwapped = uint64_t{1} << 62, kEntryFile = uint64_t{1} << 61,
                   kEntryGuard = uint64_t{1} << 58;

bool system_has_swapped() {
  struct sysinfo info {};
  return sys::failed(system_call(SYS_sysinfo, sys::as_long(&info))) || info.freeswap != info.totalswap;
}

}  // namespace

TouchedPages::TouchedPages(Buffers& buffers, UnreadBytes& unread, Deadline deadline) noexcept
    : buffers_(buffers),
      unread_(unread),
      pagemap_(sys::open("/proc/thread-self/pagemap", O_RDONLY)),
      swap_in_use_(system_has_swapped()),
      deadline_(deadline) {
  uint64_t walked_to;
  can_scan_ = !sys::failed(pagemap_) && !sys::failed(ask_scan(0, 0, 0, 0, walked_to));
}

TouchedPages::~TouchedPages() {
  if (!sys::failed(pagemap_)) sys::close(pagemap_);
}

// Neighbours become one run.
void TouchedPages::add(uint64_t start, uint64_t end) noexcept {
  if (start >= end) return;
  TouchedRun* last = run_count_ == 0 ? nullptr : &buffers_.runs[run_count_ - 1];
  if (last != nullptr && last->end == start && last->mapping == mapping_number_) last->end = end;
  else buffers_.runs[run_count_++] = {start, end, mapping_number_};
}

uint64_t TouchedPages::find(const Mapping& mapping, uint64_t number, uint64_t from) noexcept {
  mapping_number_ = number;
  if (!mapping.readable || mapping.kind == MappingKind::kKernel) return mapping.end;
  if (mapping.kind == MappingKind::kDevice) {
    unread_.device += mapping.end - from;
    return mapping.end;
  }
  if (mapping.is_private()) return find_private(mapping, from);
  // What is shared and only read is written by others, who do not have our blocks.
  if (mapping.kind == MappingKind::kFileShared && !mapping.writable) return mapping.end;
  // The name does not always tell a device: the kernel does not read one for anybody.
  uint64_t resident_bytes = 0;
  const uint64_t first_run = run_count_;
  const uint64_t reached = find_resident(from, mapping.end, resident_bytes);
  if (mapping.kind == MappingKind::kFileShared) drop_unreadable_end(first_run, mapping);
  if (swap_in_use_ || mapping.kind == MappingKind::kFileShared) unread_.perhaps_gone += reached - from - resident_bytes;
  return reached;
}

uint64_t TouchedPages::find_private(const Mapping& mapping, uint64_t from) noexcept {
  const bool of_file = mapping.kind == MappingKind::kFilePrivate;
  const bool own_pages_only = of_file && !mapping.writable;
  if (own_pages_only && mapping.executable) return mapping.end;
  const bool has_pagemap = !sys::failed(pagemap_);
  if (has_pagemap && (of_file || swap_in_use_)) return find_in_pagemap(from, mapping.end, own_pages_only);
  if (own_pages_only) return mapping.end;
  while (from < mapping.end && may_go_on()) {
    uint64_t resident_bytes = 0;
    const uint64_t end = std::min(mapping.end, from + kChunkBytes);
    const uint64_t reached = find_resident(from, end, resident_bytes);
    if (swap_in_use_) unread_.perhaps_gone += reached - from - resident_bytes;
    from = reached;
    if (resident_bytes == 0 && can_scan_) from = skip_hole(from, mapping.end);
  }
  return from;
}

// What is in memory, by mincore(2).
uint64_t TouchedPages::find_resident(uint64_t from, uint64_t end, uint64_t& resident_bytes) noexcept {
  while (from < end && may_go_on()) {
    const uint64_t chunk_end = std::min(end, from + kChunkBytes);
    const uint64_t pages = (chunk_end - from) / kPageBytes;
    const long result = system_call(SYS_mincore, static_cast<long>(from), static_cast<long>(chunk_end - from),
                                    sys::as_long(buffers_.resident));
    if (sys::failed(result)) {  // Not mapped any more: a copy of the process lacks what it was told to leave out.
      unread_.refused += chunk_end - from;
      resident_bytes += chunk_end - from;
      from = chunk_end;
      continue;
    }
    uint64_t page = 0;
    while (page < pages && has_room()) {
      uint64_t first = page;
      while (first < pages && (buffers_.resident[first] & 1) == 0) ++first;
      page = first;
      while (page < pages && (buffers_.resident[page] & 1) != 0) ++page;
      add(from + first * kPageBytes, from + page * kPageBytes);
      resident_bytes += (page - first) * kPageBytes;
    }
    from += page * kPageBytes;
  }
  return from;
}

uint64_t TouchedPages::find_in_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept {
  while (from < end && may_go_on()) {
    const uint64_t reached =
        can_scan_ ? scan_pagemap(from, end, own_pages_only) : read_pagemap(from, end, own_pages_only);
    if (reached <= from) {
      unread_.refused += end - from;
      return end;
    }
    from = reached;
  }
  return from;
}

long TouchedPages::ask_scan(uint64_t from, uint64_t end, uint64_t most_regions, uint64_t most_pages,
                            uint64_t& walked_to) noexcept {
  PagemapScan scan{};
  scan.size = sizeof scan;
  scan.start = from;
  scan.end = end;
  scan.regions = most_regions == 0 ? 0 : reinterpret_cast<uint64_t>(buffers_.regions);
  scan.region_count = most_regions;
  scan.most_pages = most_pages;
  scan.category_any_of_mask = kPresent | kSwapped;
  scan.return_mask = kFile | kPresent | kSwapped | kZeros;
  const long result = system_call(SYS_ioctl, pagemap_, static_cast<long>(kPagemapScan), sys::as_long(&scan));
  walked_to = scan.walk_end;
  return result;
}

uint64_t TouchedPages::scan_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept {
  uint64_t reached = from;
  const uint64_t room = std::min(kRegions, kRuns - run_count_);
  const long found = ask_scan(from, end, room, 0, reached);
  if (sys::failed(found)) return from;
  for (long i = 0; i < found; ++i) {
    const PagemapRegion& region = buffers_.regions[i];
    if (own_pages_only && (region.categories & kFile) != 0) continue;
    if ((region.categories & kPresent) == 0) {
      const uint64_t added_to = add_swapped(region.start, region.end);
      if (added_to < region.end) return added_to;
      continue;
    }
    if ((region.categories & kZeros) == 0) add(region.start, region.end);
  }
  return reached;
}

uint64_t TouchedPages::read_pagemap(uint64_t from, uint64_t end, bool own_pages_only) noexcept {
  auto* entries = reinterpret_cast<uint64_t*>(buffers_.regions);
  constexpr uint64_t kEntries = kRegions * (sizeof(PagemapRegion) / sizeof(uint64_t));
  const uint64_t pages = std::min(kEntries, (end - from) / kPageBytes);
  const uint64_t offset = from / kPageBytes * sizeof(uint64_t);
  const long got = sys::read_at(pagemap_, entries, pages * sizeof(uint64_t), offset);
  if (got <= 0) return from;
  const uint64_t count = static_cast<uint64_t>(got) / sizeof(uint64_t);
  for (uint64_t i = 0; i < count; ++i, from += kPageBytes) {
    if (!has_room()) return from;
    if (own_pages_only && (entries[i] & kEntryFile) != 0) continue;
    if ((entries[i] & kEntryPresent) != 0) add(from, from + kPageBytes);
    else if ((entries[i] & kEntrySwapped) != 0 && (entries[i] & kEntryGuard) == 0)
      static_cast<void>(add_swapped(from, from + kPageBytes));
  }
  return from;
}

// The kernel calls some pages swapped out that must not be touched: guard pages (before Linux 6.15 they cannot be told
// apart), and those that the hardware has lost. One that it reads is then in memory, where we were about to get it.
uint64_t TouchedPages::add_swapped(uint64_t start, uint64_t end) noexcept {
  for (; start < end && has_room(); start += kPageBytes) {
    if (is_readable(start)) add(start, start + kPageBytes);
    else unread_.refused += kPageBytes;
  }
  return start;
}

// Where the next page is that is there.
uint64_t TouchedPages::skip_hole(uint64_t from, uint64_t end) noexcept {
  uint64_t walked_to;
  const long found = from < end ? ask_scan(from, end, 1, 1, walked_to) : 0;
  if (sys::failed(found)) return from;
  return found == 0 ? end : buffers_.regions[0].start;
}

// What lies behind the end of the file counts as resident where we may not write to the file. All of the runs, if the
// first page is refused: that is how a device answers.
void TouchedPages::drop_unreadable_end(uint64_t first_run, const Mapping& mapping) noexcept {
  while (run_count_ > first_run) {
    TouchedRun& run = buffers_.runs[run_count_ - 1];
    if (run.mapping != mapping_number_ || run.end <= mapping.start) return;
    if (is_readable(run.end - kPageBytes)) return;
    uint64_t readable_end = run.start;
    for (uint64_t bad = run.end - kPageBytes; readable_end < bad;) {
      const uint64_t middle = readable_end + (bad - readable_end) / kPageBytes / 2 * kPageBytes;
      if (is_readable(middle)) readable_end = middle + kPageBytes;
      else bad = middle;
    }
    unread_.refused += run.end - readable_end;
    run.end = readable_end;
    if (run.start < run.end) return;
    --run_count_;
  }
}

}  // namespace seep::leak_scan
