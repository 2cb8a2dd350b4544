// SPDX-License-Identifier: Apache-2.0
//
// What the oracle writes: its counts when the process ends, and both chains where two walks differ. Raw system calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "chain.h"

namespace seep {

struct Counts {
  std::atomic<uint64_t> calls;   // Of hooked functions,
  std::atomic<uint64_t> stacks;  // and those that were compared: all that follows is of these.
  std::atomic<uint64_t> distinct, frames, longest;
  std::atomic<uint64_t> whole, cut, limited;  // How seep's walk ended.
  std::atomic<uint64_t> differences;
  std::atomic<uint64_t> ended_without_tables, misread;  // See oracle.h.
  std::atomic<uint64_t> guessed;                        // libunwind went on without tables.
  std::atomic<uint64_t> stepped, stops;                 // At a single step; shown to gdb.
  std::atomic<uint64_t> nested;                         // Not compared: too many others were.
};

// To DIRECTORY/PROCESS.json.
void write_counts(const Counts& counts, const char* directory, uint64_t process) noexcept;

// To the end of DIRECTORY/PROCESS.differences. The text is made in `buffer`.
void write_difference(const char* directory, uint64_t process, const Chain& ours, const char* who, const Chain& theirs,
                      char* buffer, size_t bytes) noexcept;

}  // namespace seep
