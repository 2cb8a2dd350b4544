// SPDX-License-Identifier: Apache-2.0
//
// Pointers into the middle of a block that are as good as one to its start, because of what the compiler or a library
// put before the object: the four of Valgrind's --leak-check-heuristics, each as Valgrind's manual (memcheck, 4.3)
// defines it. And a pointer right behind a block: what `new T[0]` returns.
//
// Runs inside the host while its other threads stand still, or in a copy of it. Reads of a block only what it is told
// is readable.
#pragma once

#include <cstdint>

#include "preload/leak_scan/block_index.h"

namespace seep::leak_scan {

// A set of these, or'ed.
enum Heuristic : uint8_t {
  kNoHeuristic = 0,
  kStdString = 1,            // | length | capacity | references | *text ... 0 |: libstdc++'s before C++11.
  kLength64 = 2,             // | bytes that follow | *data ... |: sqlite3's, for instance.
  kNewArray = 4,             // | elements | *array ... |: new T[n] where T has a destructor.
  kMultipleInheritance = 8,  // | vtable ... | *vtable of a base ... |
  kAllHeuristics = 15
};

// What the caller knows of the mapped files of the process; both functions may be null, then nothing is a vtable.
struct MappedFiles {
  const void* context = nullptr;
  // Where the readable memory of a mapped file that holds `address` ends; 0: it is in none.
  uintptr_t (*readable_end)(const void* context, uintptr_t address) = nullptr;
  // In executable memory of a mapped file.
  bool (*is_code)(const void* context, uintptr_t address) = nullptr;
};

// Whether `word`, which points into the middle of `block`, is by one of `enabled` as good as a pointer to its start,
// and by which. All of the block must be readable.
[[nodiscard]] Heuristic start_by_heuristic(uint64_t word, const Block& block, uint8_t enabled,
                                           const MappedFiles& files) noexcept;

// Whether a pointer to its end is the one to its start: a block that is nothing but the count of elements of an empty
// array, which stands right before the array and takes as much as its alignment (Itanium C++ ABI, 2.7): 8 bytes, or 16.
// All of the block must be readable. `is_start_of_next`: where the allocator leaves no gap the pointer may as well be
// that to the next block, and blocks of 16 bytes with a null at the end are too many to be taken for an array then.
[[nodiscard]] bool is_empty_array(const Block& block, bool is_start_of_next) noexcept;

}  // namespace seep::leak_scan
