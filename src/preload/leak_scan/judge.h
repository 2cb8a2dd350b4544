// SPDX-License-Identifier: Apache-2.0
//
// From roots to verdicts: builds the graph of the live blocks, marks it, and sums up for each trace what its blocks
// are. The second half of a scan: needs nothing of the kernel but memory and page tables.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread, with 64 KiB of stack.
// Writes to the result that was made for it and to its own memory, nowhere else.
#pragma once

#include <cstdint>

#include "preload/leak_scan/block_index.h"
#include "preload/leak_scan/mark.h"
#include "preload/leak_scan/roots.h"
#include "preload/leak_scan/stopped_threads.h"
#include "record/region.h"

namespace seep::leak_scan {

// What was found while the threads stood still.
struct Evidence {
  RootSet* roots;  // After collect().
  const StoppedThreads* threads;
  const GrowingArray<Range>* kept;  // Memory of ours that holds what a copy of the process does not get.
  Range allocator;                  // Where malloc keeps its own lists; empty: not known.
  uint8_t heuristics;
};

class Judge {
 public:
  Judge(PrivateMemory& memory, Region region, const Evidence& evidence, ScanResult& result) noexcept
      : memory_(memory), region_(region), evidence_(evidence), result_(result), index_(memory), ignored_(memory) {}

  // Fills the result: the verdicts, and of its facts what only comes out here. kNone: there are verdicts.
  [[nodiscard]] ScanFailure run(Deadline deadline) noexcept;

 private:
  [[nodiscard]] ScanFailure fill_index(Deadline deadline) noexcept;
  [[nodiscard]] bool is_allocated_in(Ref trace, uint32_t module) const noexcept;
  void add_roots(Marker& marker) const noexcept;
  void add_root(Marker& marker, const Root& root) const noexcept;
  void add_threads(Marker& marker) const noexcept;
  void add_kept_blocks(Marker& marker) noexcept;
  [[nodiscard]] bool sum_up(const Marker& marker) noexcept;
  void sum_up(const Block& block, Verdict verdict) noexcept;
  // Null: a trace that is not of this recording (inherited), or newer than the result's memory.
  [[nodiscard]] TraceVerdicts* verdicts_of(const Block& block) const noexcept;
  void fill_facts(const Marker& marker) noexcept;

  PrivateMemory& memory_;
  const Region region_;
  const Evidence evidence_;
  ScanResult& result_;
  BlockIndex index_;
  GrowingArray<uint64_t> ignored_;
};

}  // namespace seep::leak_scan
