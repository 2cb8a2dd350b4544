// SPDX-License-Identifier: Apache-2.0
//
// The stream's file, as its writer has it: made once, then for each snapshot opened by its path, checked to be the file
// that was made (StreamState), appended to and closed. No descriptor is kept: the host may close all of them or change
// its limits, and must not find one that it did not open.
//
// Never writes past RLIMIT_FSIZE, which would raise SIGXFSZ, follows no symbolic link at the end of the path, waits for
// nothing. Raw system calls only. Runs inside the host, on the thread that takes the snapshot, and in the analyzer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "record/region.h"

namespace seep {

class StreamFile {
 public:
  // Both: the file is `root` + `path`; root is "" or, from outside, the root directory of the process.
  //
  // Opens the file of `state` to append, or the one that has replaced it; `state` then says which. False where it is
  // gone, or another file has its name, perhaps with its inode, too: it must be empty or begin with this recording's
  // Header.
  [[nodiscard]] bool open(const char* root, const char* path, StreamState& state,
                          const uint8_t (&recording_id)[16]) noexcept;
  // Takes the file over that somebody made for this stream and died before he wrote into it. False where it is not
  // empty, or not there.
  [[nodiscard]] bool adopt_empty(const char* root, const char* path, StreamState& state) noexcept;
  // Makes the file, or where its name is in use the one with .2, .3, ... before its extension; and the directories
  // of `path` that are missing behind its first `base_bytes`. `path` and `state` then say what was made. False: it
  // cannot be made.
  [[nodiscard]] bool create(const char* root, char* path, size_t path_bytes, uint64_t base_bytes,
                            StreamState& state) noexcept;

  // All of it, or false: then some may have been written, and take_back() is to follow.
  [[nodiscard]] bool append(const void* data, size_t bytes) noexcept;
  // How much of the file is whole messages, and the number of the one that follows. Reads all of it, so only for a file
  // that somebody has cut; what is damaged in them is not noticed.
  [[nodiscard]] uint64_t whole_bytes(uint64_t& next_sequence) const noexcept;
  // Cuts the file to a length that it had before. False: it stays as it is.
  bool take_back(uint64_t bytes) noexcept;
  [[nodiscard]] uint64_t bytes() const noexcept { return bytes_; }
  // Removes the file that create() has just made.
  void remove(const char* root, const char* path) noexcept;
  void close() noexcept;

 private:
  [[nodiscard]] bool open_any(const char* root, const char* path) noexcept;
  [[nodiscard]] bool look() noexcept;
  [[nodiscard]] bool is_of(const uint8_t (&recording_id)[16]) const noexcept;

  long fd_ = -1;
  uint64_t device_ = 0, inode_ = 0;
  uint64_t bytes_ = 0;
  uint64_t most_bytes_ = 0;
};

}  // namespace seep
