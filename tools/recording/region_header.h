// SPDX-License-Identifier: Apache-2.0
// What the beginning of a region says about whose it is. Read without the rest, which may be large and another's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "record/region.h"
#include "recording/byte_source.h"

namespace seep {

struct RegionFacts {
  std::string path;
  uint64_t device = 0, inode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  uint64_t taken_bytes = 0;  // Of the disk or the memory that it lies in.
  bool ready = false;        // False: its process ended while it was made, or is at it; `identity` says nothing yet.
  Identity identity{};       // Every text is ended.
  std::chrono::steady_clock::time_point read_at{};

  // Of the region file as the process made it, whatever a copy is called.
  std::string recorded_name() const;
};

// Throws an Error: not a region, of another version, not ours (FileSource).
RegionFacts read_region_facts(FileSource& file);
RegionFacts read_region_facts(const std::string& path);

}  // namespace seep
