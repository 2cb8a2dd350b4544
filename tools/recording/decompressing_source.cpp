// SPDX-License-Identifier: Apache-2.0
// zstd's streaming decompression, a block at a time.
#include "recording/decompressing_source.h"

#include <absl/strings/str_format.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace seep {
namespace {

constexpr size_t kMagicBytes = 4;

std::string describe(size_t result) {
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
      return absl::StrFormat("is not read any further: decompressing it would take more than %u MiB of memory",
                             (1u << DecompressingSource::kMostWindowLog) >> 20);
    case ZSTD_error_prefix_unknown: return "is damaged: what follows is not compressed by zstd";
    case ZSTD_error_checksum_wrong: return "is damaged: the checksum of what was decompressed is wrong";
    default: return std::string("is damaged: cannot be decompressed: ") + ZSTD_getErrorName(result);
  }
}

// Whether it is said of a whole frame, when its header has been read.
bool is_of_frame(size_t result) {
  const ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
  return code == ZSTD_error_prefix_unknown || code == ZSTD_error_frameParameter_windowTooLarge;
}

}  // namespace

bool is_compressed(ByteSource& source) {
  std::array<uint8_t, kMagicBytes> bytes;
  if (source.read_at(0, bytes) < bytes.size()) return false;
  uint32_t magic = 0;
  for (size_t index = 0; index < bytes.size(); ++index) magic |= static_cast<uint32_t>(bytes[index]) << (8 * index);
  return magic == ZSTD_MAGICNUMBER || (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

DecompressingSource::DecompressingSource(ByteSource& compressed, uint64_t free_bytes)
    : compressed_(compressed), free_bytes_(free_bytes), context_(ZSTD_createDCtx()), piece_(ZSTD_DStreamInSize()) {
  if (context_ == nullptr) throw std::bad_alloc();
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMostWindowLog);
  begin();
}

void DecompressingSource::begin() {
  ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  kept_.clear();
  kept_offset_ = 0;
  piece_bytes_ = 0;
  piece_offset_ = 0;
  given_ = {};
  wanted_bytes_ = 0;
  frame_offset_ = 0;
  all_came_out_ = true;
  ended_ = false;
  damage_.reset();
}

size_t DecompressingSource::read_at(uint64_t offset, std::span<uint8_t> into) {
  if (offset < kept_offset_) begin();
  const uint64_t end = offset + into.size();
  forget_before(offset);
  while (decompressed_bytes() < end && decompress_more()) forget_before(offset);
  if (offset >= decompressed_bytes()) return 0;
  const size_t count = static_cast<size_t>(std::min(end, decompressed_bytes()) - offset);
  std::memcpy(into.data(), kept_.data() + (offset - kept_offset_), count);
  return count;
}

void DecompressingSource::forget_before(uint64_t offset) {
  const uint64_t from = std::min(offset - std::min<uint64_t>(offset, kKeptBytes), decompressed_bytes());
  if (from <= kept_offset_) return;
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(from - kept_offset_));
  kept_offset_ = from;
}

// False at the end, which damage_ explains where it is none.
bool DecompressingSource::decompress_more() {
  if (ended_) return false;
  const uint64_t given_from = given_until();
  if (all_came_out_ && !feed()) return false;
  const size_t before = kept_.size();
  kept_.resize(before + ZSTD_DStreamOutSize());
  ZSTD_outBuffer out{kept_.data(), kept_.size(), before};
  const size_t result = ZSTD_decompressStream(context_.get(), &out, &given_);
  kept_.resize(out.pos);
  if (ZSTD_isError(result)) return end_here(is_of_frame(result) ? frame_offset_ : given_from, describe(result));
  all_came_out_ = out.pos < out.size;
  wanted_bytes_ = result;
  const uint64_t most = free_bytes_ + kPerCompressedByte * given_until();
  if (decompressed_bytes() <= most) return true;
  kept_.resize(kept_.size() - static_cast<size_t>(decompressed_bytes() - most));
  return end_here(given_from, absl::StrFormat("is not read any further: it decompresses to more than %u MiB and %u "
                                              "times its size",
                                              free_bytes_ >> 20, kPerCompressedByte));
}

// Gives zstd as much as it asks for, so that all blocks before a bad one have come out when that fails.
bool DecompressingSource::feed() {
  if (given_.pos < given_.size) return true;
  if (given_.pos == piece_bytes_) {
    piece_offset_ += piece_bytes_;
    piece_bytes_ = compressed_.read_at(piece_offset_, piece_);
    given_ = {piece_.data(), 0, 0};
  }
  if (piece_bytes_ == 0) {
    return wanted_bytes_ == 0 ? end_here(piece_offset_, "")
                              : end_here(piece_offset_,
                                         "is cut here: the compressed "
                                         "stream goes on");
  }
  if (wanted_bytes_ == 0) frame_offset_ = given_until();
  given_.size = std::min(piece_bytes_, given_.pos + std::max<size_t>(wanted_bytes_, 1));
  return true;
}

bool DecompressingSource::end_here(uint64_t offset, std::string what) {
  ended_ = true;
  if (!what.empty()) damage_ = CompressionDamage{offset, std::move(what)};
  return false;
}

}  // namespace seep
