// SPDX-License-Identifier: Apache-2.0
//
// The stream file: its name, its making, appending to it. No descriptor is kept: the host may close all of them or
// change its limits, and must not find one that it did not open. Each snapshot opens the file by its absolute path,
// checks that it is still the one that was made, appends, and closes. Raw system calls only. Runs inside the host, on
// the thread that takes the snapshot.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep {

struct NameFacts {         // What the placeholders of `out` stand for.
  const char* executable;  // %e: its last component is taken.
  uint32_t pid;            // %p
  const char* host;        // %h
  uint64_t unix_s;         // %t
  uint32_t counter;        // %n
};

// Expands `pattern` (%% is a %). False where it does not fit.
[[nodiscard]] bool expand_name(const char* pattern, const NameFacts& facts, char* name, size_t name_bytes) noexcept;

// Makes `path` absolute against the current directory; unchanged where that cannot be told.
void make_absolute(char* path, size_t path_bytes) noexcept;

class StreamFile {
 public:
  // Makes the file that `path` names, or where the name is in use the one with .2, .3, ... before its extension; and
  // its directory, if that is missing. `path` then holds the name. False: it cannot be made.
  [[nodiscard]] bool create(char* path, size_t path_bytes) noexcept;
  // Opens it again to append. False where it is gone or another file is there.
  [[nodiscard]] bool open(const char* path) noexcept;
  [[nodiscard]] bool append(const void* data, size_t bytes) noexcept;
  void close() noexcept;
  void forget() noexcept { made_ = false; }  // In the child of a fork: the file is the parent's.
  [[nodiscard]] bool made() const noexcept { return made_; }

 private:
  long fd_ = -1;
  bool made_ = false;
  uint64_t device_ = 0, inode_ = 0;
};

}  // namespace seep
