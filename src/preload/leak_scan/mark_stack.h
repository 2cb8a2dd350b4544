// SPDX-License-Identifier: Apache-2.0
//
// The blocks that have been reached and not yet been looked into. A stack in pieces, each twice as large as the one
// before, so that it grows without moving; the first piece is here, so that there is always some room. Where no more
// memory is to be had `push` says so, and the caller finds the block again by its state.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread.
#pragma once

#include <cstdint>

#include "preload/private_memory.h"

namespace seep::leak_scan {

class MarkStack {
 public:
  static constexpr uint64_t kFirst = 1024;

  explicit MarkStack(PrivateMemory& memory) noexcept : memory_(memory) {}
  ~MarkStack() {
    for (unsigned i = 1; i < kPieces && pieces_[i] != nullptr; ++i) {
      memory_.give_back(pieces_[i], size_of(i) * sizeof(uint32_t));
    }
  }
  MarkStack(const MarkStack&) = delete;
  MarkStack& operator=(const MarkStack&) = delete;

  [[nodiscard]] bool empty() const noexcept { return used_ == 0 && piece_ == 0; }

  [[nodiscard]] bool push(uint32_t block) noexcept {
    if (used_ == size_of(piece_) && !next_piece()) return false;
    pieces_[piece_][used_++] = block;
    return true;
  }

  [[nodiscard]] uint32_t pop() noexcept {
    const uint32_t block = pieces_[piece_][--used_];
    if (used_ == 0 && piece_ > 0) used_ = size_of(--piece_);
    return block;
  }

 private:
  static constexpr unsigned kPieces = 22;  // 2^32 blocks.
  static constexpr uint64_t size_of(unsigned piece) noexcept { return kFirst << piece; }

  [[nodiscard]] bool next_piece() noexcept {
    if (piece_ + 1 == kPieces) return false;
    uint32_t*& next = pieces_[piece_ + 1];
    if (next == nullptr) next = static_cast<uint32_t*>(memory_.take(size_of(piece_ + 1) * sizeof(uint32_t)));
    if (next == nullptr) return false;
    ++piece_;
    used_ = 0;
    return true;
  }

  PrivateMemory& memory_;
  uint32_t first_[kFirst];
  uint32_t* pieces_[kPieces] = {first_};
  unsigned piece_ = 0;
  uint64_t used_ = 0;  // Of that piece; never 0 but in the first.
};

}  // namespace seep::leak_scan
