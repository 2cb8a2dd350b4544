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
#include "recording/process_liveness.h"
#include "recording/process_recording.h"
#include "recording/region_header.h"

namespace seep {

class RegionFile {
 public:
  // Throws an Error where the file cannot be read or is no region; where it is damaged, `problem` says so.
  explicit RegionFile(const std::string& path);
  explicit RegionFile(FileSource& file);
  ~RegionFile();
  RegionFile(const RegionFile&) = delete;
  RegionFile& operator=(const RegionFile&) = delete;

  const std::string& path() const { return facts_.path; }
  const RegionFacts& facts() const { return facts_; }
  const Identity& identity() const { return facts_.identity; }
  const std::optional<Error>& problem() const { return problem_; }

  // The checked copy, to encode from. Without what lay in the process's private memory.
  Region copy() const { return Region(copy_); }
  // When the process last did something that was recorded: a dead one has no clock.
  uint64_t last_event_ns() const;

  // How the process ended, where it could say so in its region, and perhaps not in its stream.
  std::optional<EndFacts> end() const;

  // Everything in it as messages of a stream, numbered from `first_sequence`: a header, then one snapshot; after a
  // death also the end.
  std::vector<uint8_t> encode(SnapshotKind kind, uint64_t first_sequence) const;

 private:
  void read(FileSource& file);
  void reserve(uint64_t bytes);
  uint64_t read_bytes(FileSource& file, uint64_t from, uint64_t until);

  RegionFacts facts_;
  uint64_t mapped_bytes_ = 0;
  void* copy_ = nullptr;
  std::optional<Error> problem_;
};

bool same_recording(const Identity& identity, const proto::Header& header);

// Where the region of a recording can still be found: beside the stream, where it was recorded to lie, or through /proc
// of a running process. Nothing where it is gone, or where the file of that name is another's. Throws an Error where it
// is there and cannot be read.
std::optional<RegionFacts> find_region(const ProcessRecording& process);

// The kind of a snapshot that is made of a region by a reader.
SnapshotKind kind_of_reading(Liveness liveness);

// Applies what its region knows beyond the stream, as long as it is there. Nothing is written. Problems are appended.
// True if all that the end of the stream may have lost is known again.
bool apply_region(ProcessRecording& process, const RegionFacts& facts, std::vector<Error>& problems);
// The same, with the region that find_region() finds.
bool apply_region(ProcessRecording& process, std::vector<Error>& problems);

}  // namespace seep
