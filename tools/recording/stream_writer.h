// SPDX-License-Identifier: Apache-2.0
// Writes messages in the framing of a stream: the stubs and End messages of `seep run`, and the streams of tests.
//
// Appends to a string or to a file that it was given; it never creates, truncates or removes one. One thread a writer.
#pragma once

#include <cstdint>
#include <string>

#include "seep.pb.h"

namespace seep {

// One message with its length, sync constant, sequence number and checksum.
std::string encode_message(proto::Message message, uint64_t sequence);

// A stream in memory.
class StreamWriter {
 public:
  explicit StreamWriter(uint64_t first_sequence = 0) : next_sequence_(first_sequence) {}

  // Takes the content; sync, sequence and checksum are the writer's.
  void write(proto::Message message) { bytes_ += encode_message(std::move(message), next_sequence_++); }

  const std::string& bytes() const { return bytes_; }

 private:
  uint64_t next_sequence_;
  std::string bytes_;
};

// Writes all of `bytes` at the end of an open file, or throws an Error that names `path`.
void append_to_file(int fd, const std::string& path, const std::string& bytes);

}  // namespace seep
