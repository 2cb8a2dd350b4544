// SPDX-License-Identifier: Apache-2.0
//
// The roots; see roots.h.
#include "preload/leak_scan/roots.h"

#include <algorithm>

#include "preload/leak_scan/own_memory.h"

namespace seep::leak_scan {

// Goes over runs of touched pages in order of address and says of each piece what it is.
class RootSet::Sweep {
 public:
  explicit Sweep(RootSet& set) noexcept
      : set_(set), own_(set.own_), live_(set.live_), stale_(set.stale_), regions_(set.regions_) {}

  // False: no memory.
  [[nodiscard]] bool add(const TouchedRun& run) noexcept {
    const Mapping& mapping = set_.mappings_[run.mapping];
    for (uint64_t at = run.start; at < run.end;) {
      uint64_t until = run.end;
      Root::Kind kind = kind_of(mapping);
      const What what = look(at, mapping, until, kind);
      if (what != What::kOwn && !add_readable(at, until)) return false;
      if (what == What::kRoot && !add_root(at, until, kind)) return false;
      at = until;
    }
    return true;
  }

 private:
  enum class What { kRoot, kNoRoot, kOwn };

  static Root::Kind kind_of(const Mapping& mapping) noexcept {
    if (mapping.kind == MappingKind::kFilePrivate) return Root::Kind::kGlobal;
    return mapping.kind == MappingKind::kAnonymous ? Root::Kind::kAnonymous : Root::Kind::kShared;
  }

  // What stands at `at`, the same up to `until`. The order of these questions is what goes before what.
  What look(uint64_t at, const Mapping& mapping, uint64_t& until, Root::Kind& kind) noexcept {
    if (own_.holds(at, until)) return What::kOwn;
    if (regions_.holds(at, until)) {
      kind = Root::Kind::kRegion;
      return What::kRoot;
    }
    if (live_.holds(at, until)) {
      kind = Root::Kind::kStack;
      return What::kRoot;
    }
    if (stale_.holds(at, until)) return What::kNoRoot;
    // No allocator takes its memory from a file; a page of the set was the heap's until a library was loaded there.
    const bool may_be_heap = set_.heap_pages_ != nullptr && mapping.kind != MappingKind::kFilePrivate;
    return may_be_heap && set_.heap_pages_->contains(at, until) ? What::kNoRoot : What::kRoot;
  }

  bool add_readable(uint64_t start, uint64_t end) noexcept {
    GrowingArray<Range>& readable = set_.readable_;
    if (readable.size() > 0 && readable[readable.size() - 1].end == start) {
      readable[readable.size() - 1].end = end;
      return true;
    }
    return readable.add({start, end});
  }

  // Whole words: a range that somebody registered may begin anywhere.
  bool add_root(uint64_t start, uint64_t end, Root::Kind kind) noexcept {
    constexpr uint64_t kLow = sizeof(uint64_t) - 1;
    start = (start + kLow) & ~kLow;
    end &= ~kLow;
    if (start >= end) return true;
    GrowingArray<Root>& roots = set_.roots_;
    Root* last = roots.size() == 0 ? nullptr : &roots[roots.size() - 1];
    if (last != nullptr && last->end == start && last->kind == kind) {
      last->end = end;
      return true;
    }
    return roots.add({start, end, kind});
  }

  RootSet& set_;
  RangeCursor own_, live_, stale_, regions_;
};

// Before the maps are read: what is given back after that is in both, and what is taken after that in neither.
bool RootSet::note_own(const RootRequest& request) noexcept {
  bool noted = true;
  own_.clear();
  // So much that this memory is not exchanged for other while it is filled.
  uint64_t count = request.own_count + request.thread_count + 64;
  own_memory.each([&](uint64_t, uint64_t) { ++count; });
  if (!own_.reserve(count)) return false;
  for (uint64_t i = 0; i < request.own_count; ++i) noted = noted && own_.add(request.own[i].start, request.own[i].end);
  own_memory.each([&](uint64_t start, uint64_t end) { noted = noted && own_.add(start, end); });
  for (uint64_t i = 0; i < request.thread_count && request.own_tls_bytes > 0; ++i) {
    if (request.threads[i].thread_pointer == 0) continue;
    const uint64_t start = request.threads[i].thread_pointer + static_cast<uint64_t>(request.own_tls_offset);
    noted = noted && own_.add(start, start + request.own_tls_bytes);
  }
  own_.settle();
  gaps_.unknown_own = own_memory.unnoted();
  return noted;
}

RootsResult RootSet::collect(const RootRequest& request) noexcept {
  live_.clear();
  stale_.clear();
  regions_.clear();
  thread_words_.clear();
  gaps_ = {};
  heap_pages_ = request.heap_pages;
  const MapResult maps = read_memory_map(aside_, mappings_, [&] { return note_own(request); });
  if (maps != MapResult::kDone) return maps == MapResult::kNoMaps ? RootsResult::kNoMaps : RootsResult::kNoMemory;
  for (uint64_t i = 0; i < request.region_count; ++i) {
    if (!regions_.add(request.regions[i].start, request.regions[i].end)) return RootsResult::kNoMemory;
  }
  ThreadStacks stacks(request.threads, request.thread_count, mappings_);
  if (!stacks.find(live_, stale_, thread_words_)) return RootsResult::kNoMemory;
  gaps_.unknown_stacks = stacks.unknown_stacks();
  ended_stacks_ = stacks.ended_stacks();
  for (RangeSet* set : {&live_, &stale_, &regions_}) set->settle();
  if (!read_kernel_words(aside_, request.tid, kernel_)) return RootsResult::kNoMemory;
  gaps_.epoll = !kernel_.epoll_read;
  gaps_.timers = !kernel_.timers_read;
  return RootsResult::kDone;
}

RootsResult RootSet::find_touched(Deadline deadline) noexcept {
  roots_.clear();
  readable_.clear();
  gaps_.unread = {};
  if (!aside_.reserve(sizeof(TouchedPages::Buffers))) return RootsResult::kNoMemory;
  auto& buffers = *reinterpret_cast<TouchedPages::Buffers*>(aside_.buffer());
  Sweep sweep(*this);
  uint64_t next = 0, from = 0;
  while (next < mappings_.size()) {
    uint64_t runs = 0;
    bool out_of_time = false;
    aside_.call([&] {
      TouchedPages touched(buffers, gaps_.unread, deadline);
      for (; next < mappings_.size() && touched.runs() < TouchedPages::kRuns && !touched.out_of_time();
           ++next, from = 0) {
        const Mapping& mapping = mappings_[next];
        from = touched.find(mapping, next, std::max(from, mapping.start));
        if (from < mapping.end) break;
      }
      runs = touched.runs();
      out_of_time = touched.out_of_time();
    });
    if (out_of_time) return RootsResult::kOutOfTime;
    for (uint64_t i = 0; i < runs; ++i) {
      if (!sweep.add(buffers.runs[i])) return RootsResult::kNoMemory;
    }
  }
  return RootsResult::kDone;
}

}  // namespace seep::leak_scan
