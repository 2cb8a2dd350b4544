// SPDX-License-Identifier: Apache-2.0
// Compressed streams for tests, and what comes out of one. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recording/decompressing_source.h"
#include "test_streams.h"
#include "zstd_frame.h"

namespace seep::testing {

// Frames that each hold one message.
inline std::vector<std::string> frames_of(const std::vector<proto::Message>& messages) {
  std::vector<std::string> frames;
  uint64_t sequence = 0;
  for (const proto::Message& message : messages) frames.push_back(zstd_frame(encode_message(message, sequence++)));
  return frames;
}

inline std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

inline MemorySource memory(const std::string& bytes) { return MemorySource({bytes.begin(), bytes.end()}); }

struct Decompressed {
  std::string bytes;
  std::optional<CompressionDamage> damage;
};

inline Decompressed decompressed(const std::string& file, size_t piece_bytes = 1000) {
  MemorySource source = memory(file);
  DecompressingSource decompressing(source);
  Decompressed result;
  std::vector<uint8_t> piece(piece_bytes);
  for (size_t count = piece_bytes; count == piece_bytes;) {
    count = decompressing.read_at(result.bytes.size(), piece);
    result.bytes.append(piece.begin(), piece.begin() + static_cast<ptrdiff_t>(count));
  }
  result.damage = decompressing.damage();
  return result;
}

inline std::vector<proto::Message> another_recording() {
  auto messages = small_recording();
  messages[0].mutable_header()->set_recording_id("fedcba9876543210");
  return messages;
}

}  // namespace seep::testing
