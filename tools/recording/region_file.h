// SPDX-License-Identifier: Apache-2.0
// The region of a process: the shared memory that its stream is written from, and all that is left of what it recorded
// since its last snapshot, however it died. Read with pread into private memory and checked before it is believed; the
// file itself is never changed here. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "error.h"
#include "record/region.h"
#include "record/snapshot_encoder.h"
#include "recording/process_recording.h"

namespace seep {

class RegionFile {
 public:
  // Throws an Error where the file cannot be read or is no region; where it is damaged, `problem` says so.
  explicit RegionFile(const std::string& path);
  ~RegionFile();
  RegionFile(const RegionFile&) = delete;
  RegionFile& operator=(const RegionFile&) = delete;

  const std::string& path() const { return path_; }
  const Identity& identity() const;
  const std::optional<Error>& problem() const { return problem_; }

  // Everything in it as messages of a stream, numbered from `first_sequence`: a header, then one snapshot.
  std::vector<uint8_t> encode(SnapshotKind kind, uint64_t first_sequence) const;

 private:
  std::string path_;
  uint64_t bytes_ = 0;
  void* copy_ = nullptr;
  std::optional<Error> problem_;
};

bool same_recording(const Identity& identity, const proto::Header& header);

// The region of a recording that has not ended, where it can still be found: beside the stream, where it was recorded
// to lie, or through /proc of a running process. Null where it is gone, or where the file of that name is another's.
std::unique_ptr<RegionFile> find_region(const ProcessRecording& process);

// Applies what the region knows beyond the stream. Nothing is written. Problems are appended.
void apply_region(ProcessRecording& process, std::vector<Error>& problems);

}  // namespace seep
