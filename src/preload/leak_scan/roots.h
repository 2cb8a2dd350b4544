// SPDX-License-Identifier: Apache-2.0
//
// Where pointers may stand that keep a block alive: all readable memory of the program, without
//
//     - memory of the allocator's that is in no live block (heap_pages.h): there only live blocks are looked into
//     - stack below a stack pointer, and the stacks that glibc keeps of threads that have ended (thread_stacks.h)
//     - our own memory, and our thread-local storage in each thread
//     - pages that hold nothing (touched_pages.h), device memory, code
//
// and what only the kernel holds (kernel_words.h). Registers and the program's registered regions are the caller's to
// give. Memory that the program has made read-only is a root, too. A DTV (dynamic TLS) is a block like others; it is
// reported as a word, since threads point into its middle.
//
// Two steps: `collect` in the process itself, while all its threads stand still, and `find_touched`, which reads page
// tables and takes most of the time, there or in a copy of the process made meanwhile.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread, with 32 KiB of stack. Must
// not write to the program's memory; allocates but through PrivateMemory.
#pragma once

#include <cstdint>

#include "preload/leak_scan/block_index.h"
#include "preload/leak_scan/growing_array.h"
#include "preload/leak_scan/heap_pages.h"
#include "preload/leak_scan/kernel_words.h"
#include "preload/leak_scan/memory_map.h"
#include "preload/leak_scan/ranges.h"
#include "preload/leak_scan/thread_stacks.h"
#include "preload/leak_scan/touched_pages.h"

namespace seep::leak_scan {

struct RootRequest {
  const LiveThread* threads = nullptr;  // All of the process's, with the one that asks.
  uint64_t thread_count = 0;
  uint32_t tid = 0;                // Of the thread that asks: whose descriptors are looked at.
  const Range* regions = nullptr;  // Roots whatever they are: registered ones, writable segments of libraries.
  uint64_t region_count = 0;
  const Range* own = nullptr;  // Our own besides PrivateMemory's: the recording's region, libseep.so.
  uint64_t own_count = 0;
  int64_t own_tls_offset = 0;  // From the thread pointer, of our thread-local storage.
  uint64_t own_tls_bytes = 0;
  const HeapPages* heap_pages = nullptr;  // Null: nothing is known of the heap, and all of it counts as roots.
};

struct Root {
  enum class Kind : uint8_t { kStack, kGlobal, kAnonymous, kShared, kRegion };
  uint64_t start, end;  // Both multiples of 8.
  Kind kind;
};

enum class RootsResult : uint8_t { kDone, kNoMaps, kNoMemory, kOutOfTime };

// What of the picture is missing.
struct RootGaps {
  UnreadBytes unread;
  uint32_t unknown_stacks = 0;  // Of live threads: roots down to their low end.
  uint32_t unknown_own = 0;     // Mappings of ours that we do not know any more, and that count as roots.
  bool epoll = false, timers = false;
};

class RootSet {
 public:
  explicit RootSet(PrivateMemory& memory) noexcept
      : aside_(memory),
        mappings_(memory),
        own_(memory),
        live_(memory),
        stale_(memory),
        regions_(memory),
        kernel_(memory),
        thread_words_(memory),
        roots_(memory),
        readable_(memory) {}

  [[nodiscard]] RootsResult collect(const RootRequest& request) noexcept;
  [[nodiscard]] RootsResult find_touched(Deadline deadline = {}) noexcept;

  // After find_touched. Sorted, not overlapping; every word of the roots may be read.
  [[nodiscard]] const GrowingArray<Root>& roots() const noexcept { return roots_; }
  // The same for all memory that holds anything, the heap's too, but not ours: what of a block may be looked into.
  [[nodiscard]] const GrowingArray<Range>& readable() const noexcept { return readable_; }

  // After collect. Words that are roots: what the kernel holds, and the starts of the threads' DTVs.
  [[nodiscard]] const GrowingArray<uint64_t>& kernel_words() const noexcept { return kernel_.words; }
  [[nodiscard]] const GrowingArray<uint64_t>& thread_words() const noexcept { return thread_words_; }
  [[nodiscard]] const GrowingArray<Mapping>& mappings() const noexcept { return mappings_; }
  [[nodiscard]] uint32_t ended_stacks() const noexcept { return ended_stacks_; }
  [[nodiscard]] const RootGaps& gaps() const noexcept { return gaps_; }

 private:
  class Sweep;

  [[nodiscard]] bool note_own(const RootRequest& request) noexcept;

  AsideMemory aside_;
  GrowingArray<Mapping> mappings_;
  RangeSet own_, live_, stale_, regions_;
  KernelWords kernel_;
  GrowingArray<uint64_t> thread_words_;
  const HeapPages* heap_pages_ = nullptr;
  uint32_t ended_stacks_ = 0;
  RootGaps gaps_;
  GrowingArray<Root> roots_;
  GrowingArray<Range> readable_;
};

}  // namespace seep::leak_scan
