// SPDX-License-Identifier: Apache-2.0
// From a region to its stream, by somebody outside: on a checked copy, with what the encoder notes in it carried back
// where the process goes on. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "record/snapshot_writer.h"
#include "recording/region_file.h"
#include "recovery/region_claim.h"
#include "recovery/stream_place.h"

namespace seep {

class RegionWriter {
 public:
  // All must outlive it.
  RegionWriter(FileSource& file, const RegionFile& copy, const StreamPlace& place);

  // Takes a snapshot into the stream. False where it could not be written whole.
  bool write(SnapshotKind kind, uint64_t now_ns, const EndFacts* end);
  // Where the stream is, as the process knows it: it may have got another name.
  std::string stream_path() const;

  // For a process that goes on. Before write(): until carry_back() the region says that all is to be written again.
  void announce();
  // After write(), whether it succeeded or not.
  void carry_back(RegionClaim& claim);

 private:
  void put(uint64_t offset, const void* bytes, size_t count);

  FileSource& file_;
  const StreamPlace& place_;
  Region region_;
  std::unique_ptr<EncoderScratch> scratch_ = std::make_unique<EncoderScratch>();
  EncoderProgress progress_before_;
  uint64_t failed_writes_before_;
  std::vector<std::pair<Ref, uint64_t>> signatures_;  // Of the traces, as they were.
};

}  // namespace seep
