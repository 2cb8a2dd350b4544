// SPDX-License-Identifier: Apache-2.0
// The right to take a snapshot of a living process from outside: against other readers a lock on the region's file,
// against the process itself RegionHeader::snapshot_owner. Given back at the end of the object's life, whatever
// happened in between; a reader that is killed leaves the lock to the kernel and kOwnedFromOutside to the next one.
//
// Only the first page is mapped, and each access to it survives the file's truncation by somebody else.
#pragma once

#include <chrono>
#include <cstdint>

#include "record/region.h"
#include "recording/byte_source.h"

namespace seep {

class RegionClaim {
 public:
  // Waits at most so long; throws an Error where it is not to be had. The file is open for reading and writing.
  RegionClaim(FileSource& region, std::chrono::milliseconds most_wait);
  ~RegionClaim();
  RegionClaim(const RegionClaim&) = delete;
  RegionClaim& operator=(const RegionClaim&) = delete;

  // Adds to a loss counter, to which the process may be adding at the same time.
  void count_loss(LossKind kind, uint64_t by);

 private:
  bool take();
  void give_back();

  FileSource& region_;
  RegionHeader* page_ = nullptr;
};

// Locks a region's file against other readers, within that time. False: somebody else has it.
bool lock_region(FileSource& region, std::chrono::milliseconds most_wait);

}  // namespace seep
