// SPDX-License-Identifier: Apache-2.0
//
// The pool of scratch memory; see scratch_pool.h.
#include "preload/scratch_pool.h"

namespace seep {

Scratch* ScratchPool::acquire(unsigned& index) noexcept {
  for (index = 0; index < kBlocks; ++index) {
    uint8_t free = 0;
    if (busy_[index].load(std::memory_order_relaxed) != 0 ||
        !busy_[index].compare_exchange_strong(free, 1, std::memory_order_acquire)) {
      continue;
    }
    Scratch* block = blocks_[index].load(std::memory_order_relaxed);
    if (block == nullptr) {
      block = static_cast<Scratch*>(memory_.take(sizeof(Scratch)));
      blocks_[index].store(block, std::memory_order_relaxed);
    }
    if (block != nullptr) return block;
    release(index);
    return nullptr;
  }
  return nullptr;
}

}  // namespace seep
