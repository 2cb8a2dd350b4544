// SPDX-License-Identifier: Apache-2.0
//
// The memory that the host does not want a child to have (fork_memory.h), for the copy that scans: taken along in
// memory of ours, and put back there where it was. Runs inside the host while its other threads stand still, and in the
// copy; one thread.
#pragma once

#include "preload/leak_scan/fork_memory.h"
#include "preload/leak_scan/ranges.h"

namespace seep::leak_scan {

class KeptMemory {
 public:
  explicit KeptMemory(PrivateMemory& memory) noexcept : memory_(memory), ranges_(memory), origins_(memory) {}
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

  // False: there is more than is worth to be taken along while the host waits, or no memory for it.
  [[nodiscard]] bool keep(const ForkMemory& not_copied) noexcept;
  // In the copy: from then on it is memory like all other.
  void put_back() noexcept;

  // Of ours: what was taken along, and is not put back.
  [[nodiscard]] const GrowingArray<Range>& ranges() const noexcept { return ranges_; }

 private:
  PrivateMemory& memory_;
  GrowingArray<Range> ranges_;
  GrowingArray<uint64_t> origins_;  // Of each of them, where it was.
  char* taken_ = nullptr;
  uint64_t taken_bytes_ = 0;
};

}  // namespace seep::leak_scan
