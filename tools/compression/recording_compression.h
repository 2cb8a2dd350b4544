// SPDX-License-Identifier: Apache-2.0
// Compresses the finished streams of recordings, for `seep compress` and `seep run --compress`. What dead processes
// left in regions is to be folded before. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "error.h"
#include "recording/process_liveness.h"

namespace seep {

class RecordingCompression {
 public:
  // A stream, or a directory of streams. Never throws: what could not be done is in problems().
  void add(const std::string& path);

  // Streams that were left as they are, and why: a line each.
  const std::vector<std::string>& left() const { return left_; }
  const std::vector<Error>& problems() const { return problems_; }
  // "2 streams compressed: 14.0 MiB before, 2.6 MiB after; 1 left as it is; 3 were compressed already".
  std::string summary() const;

 private:
  void add_stream(const std::string& path);

  LivenessJudge judge_;
  uint64_t compressed_ = 0;
  uint64_t bytes_before_ = 0;
  uint64_t bytes_after_ = 0;
  uint64_t already_compressed_ = 0;
  std::vector<std::string> left_;
  std::vector<Error> problems_;
};

}  // namespace seep
