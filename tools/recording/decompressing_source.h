// SPDX-License-Identifier: Apache-2.0
// The bytes of a stream that is compressed by zstd, as if it were not: decompressed piece by piece, as they are read.
// One frame or several behind each other.
//
// It trusts no byte. Memory is bounded by the window that a frame asks for (at most 2^kMostWindowLog bytes, as `zstd`
// itself has it) and by one reading of the caller. What comes out in all is bounded by what went in: a stream that is
// longer than kFreeBytes (as long as one message may be) and kPerCompressedByte for each byte of its file is not read
// any further, for what is made of it grows with its length. seep's own become 4 to 6 times smaller. One thread a
// source.
#pragma once

#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "recording/byte_source.h"
#include "recording/compression_damage.h"

namespace seep {

// Whether the bytes begin like what zstd writes.
bool is_compressed(ByteSource& source);

class DecompressingSource final : public ByteSource {
 public:
  static constexpr int kMostWindowLog = 27;
  static constexpr uint64_t kFreeBytes = 16u << 20;
  static constexpr uint64_t kPerCompressedByte = 64;

  // Fuzzers take fewer bytes for free.
  explicit DecompressingSource(ByteSource& compressed, uint64_t free_bytes = kFreeBytes);

  // Offsets are the raw stream's. Going back further than kKeptBytes before the last reading begins anew.
  size_t read_at(uint64_t offset, std::span<uint8_t> into) override;

  // What ended the stream, if that was not its end. Known when its last bytes have been read.
  const std::optional<CompressionDamage>& damage() const { return damage_; }

 private:
  // A reader that looks for the next message goes back by the length in front of it.
  static constexpr size_t kKeptBytes = 64;

  struct Release {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };

  void begin();
  void forget_before(uint64_t offset);
  bool decompress_more();
  bool feed();
  bool end_here(uint64_t offset, std::string what);
  uint64_t given_until() const { return piece_offset_ + given_.pos; }
  uint64_t decompressed_bytes() const { return kept_offset_ + kept_.size(); }

  ByteSource& compressed_;
  const uint64_t free_bytes_;
  std::unique_ptr<ZSTD_DCtx, Release> context_;
  // The last bytes that came out, from kept_offset_ of the raw stream on.
  std::vector<uint8_t> kept_;
  uint64_t kept_offset_ = 0;
  // A piece of what is compressed, from piece_offset_ of the file on, and the part of it that zstd has been given.
  std::vector<uint8_t> piece_;
  size_t piece_bytes_ = 0;
  uint64_t piece_offset_ = 0;
  ZSTD_inBuffer given_{};
  size_t wanted_bytes_ = 0;    // What zstd would have next: to the end of a block. 0: a frame has ended.
  uint64_t frame_offset_ = 0;  // Where the last one begins.
  bool all_came_out_ = true;
  bool ended_ = false;
  std::optional<CompressionDamage> damage_;
};

}  // namespace seep
