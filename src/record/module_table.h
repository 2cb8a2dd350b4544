// SPDX-License-Identifier: Apache-2.0
//
// The modules of a recording: files mapped as code, by (bounds, build id, path). A module that is unloaded stays; one
// that comes back at the same place is found again. Also the names of threads, which are kept in the same manner.
//
// Both are lists from the newest to the oldest: an entry is filled and then linked at the head (CAS, release), so what
// a reader reaches at any instant is whole, and a trace is linked after the modules that it names. Two
// threads that meet the same new module at once may both enter it: two numbers for one module, which readers resolve to
// the same file. Numbers are given out before linking, so the list is ordered by them only roughly.
//
// Runs inside the host, any thread, signal handlers, lock-free; reads work in the analyzer too.
#pragma once

#include <cstdint>

#include "record/region.h"

namespace seep {

inline constexpr unsigned kMaxBuildIdBytes = 32;

struct Module {
  Ref next_older;
  uint32_t id;
  uint64_t load_bias;
  uint64_t start;
  uint64_t size_bytes;
  uint64_t file_size_bytes;
  int64_t file_modified_unix_ns;
  uint16_t build_id_bytes;
  uint16_t path_bytes;  // Without the NUL that ends it.
  uint8_t build_id[kMaxBuildIdBytes];
  // Then the path, ended by NUL.

  [[nodiscard]] char* path() noexcept { return reinterpret_cast<char*>(this + 1); }
};

// What identifies a module; the caller's memory.
struct ModuleFacts {
  uint64_t load_bias, start, size_bytes;
  const uint8_t* build_id;
  unsigned build_id_bytes;
  const char* path;
};

// Its number, or 0 where there is no entry yet.
[[nodiscard]] uint32_t find_module(Region region, const ModuleFacts& facts) noexcept;
// Enters it; 0 where there is no room, or no number left.
[[nodiscard]] uint32_t add_module(Region region, const ModuleFacts& facts, uint64_t file_size_bytes,
                                  int64_t file_modified_unix_ns) noexcept;

inline constexpr unsigned kThreadNameBytes = 16;

struct ThreadName {
  Ref next_older;
  uint32_t id;
  char name[kThreadNameBytes];  // Ended by NUL.
};

// The number of this name, entered if it is new; 0 where there is no room.
[[nodiscard]] uint16_t find_or_add_thread_name(Region region, const char (&name)[kThreadNameBytes]) noexcept;

}  // namespace seep
