// SPDX-License-Identifier: Apache-2.0
//
// Makes a copy of a region safe to read: a region comes from a file that anybody may have written, or from a process
// that was copied in the middle of an update. After this every Ref that the snapshot encoder follows leads to an entry
// that lies inside the copy, every list ends, and every text is ended. What was wrong is cut off and named.
//
// Traces come first, so that other damage does not take their memory. Those that the list does not lead to any more are
// found by the trie: of a copy that is cut anywhere, each trace before the cut is kept if the trie leads to it, or to a
// newer one that does.
// Of modules and thread names what is older than the damage is lost.
//
// Runs in the analyzer only, on private memory; takes a 64th of the copy's size beside it.
#pragma once

#include <cstdint>

#include "record/region.h"

namespace seep {

struct RegionCheck {
  bool usable = false;        // False: nothing in it can be read.
  const char* problem = "";   // The first thing that was wrong; "" if nothing was.
  uint64_t problem_at = 0;    // The offset of the entry in question.
  uint64_t entries_lost = 0;  // At least so many entries are not reachable any more.
};

// `bytes` of a region copied to `copy`: at least its header, and the entries as far as they were copied.
[[nodiscard]] RegionCheck check_region(void* copy, uint64_t bytes);

}  // namespace seep
