// SPDX-License-Identifier: Apache-2.0
// What a process has mapped: /proc/PID/maps, read and taken apart. Reads only; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace seep {

struct Mapping {
  uint64_t start = 0, end = 0;
  bool readable = false;
  bool writable = false;
  uint32_t device_major = 0, device_minor = 0;  // Of the file's superblock: not always what stat(2) says (btrfs).
  uint64_t inode = 0;                           // 0: no file.
  std::string path;                             // As seen from the root of the process; empty: no file.
  bool removed = false;                         // The file has no name any more.
};

struct ProcessMaps {
  enum class State { kRead, kGone, kRefused };  // kGone: no such process, or it has given its memory back.
  State state = State::kGone;
  std::vector<Mapping> mappings;
};

// Of a process, as `proc` ("/proc") shows it. One whose first thread has ended still has those of the others.
ProcessMaps read_maps(const std::string& proc, const std::string& pid);

}  // namespace seep
