// SPDX-License-Identifier: Apache-2.0
//
// The pool of scratch memory; see scratch_pool.h.
#include "preload/scratch_pool.h"

#include <signal.h>

#include "record/system.h"

namespace seep {

// Whether a block that this thread took at `held_from` cannot be in use any more, now that it is at `sp`. What it was
// taken on may be another stack than this one: an alternate one, which lies anywhere, even inside the thread's own.
bool ScratchPool::was_left(const ThreadState& thread, uintptr_t sp, uintptr_t held_from) const noexcept {
  stack_t alternate{};
  if (sys::failed(system_call(SYS_sigaltstack, 0, sys::as_long(&alternate)))) return false;
  const auto on_alternate = [&](uintptr_t address) {
    return (alternate.ss_flags & SS_DISABLE) == 0 &&
           address - reinterpret_cast<uintptr_t>(alternate.ss_sp) < alternate.ss_size;
  };
  if (on_alternate(sp)) return on_alternate(held_from) && sp > held_from;
  if (on_alternate(held_from)) return true;  // Its handler is over, or we were still there.
  // On a stack that neither is known to be of, as a fiber's, nothing is concluded.
  return sp > held_from && held_from >= thread.stack_low && sp < thread.stack_high;
}

bool ScratchPool::claim(ThreadState& thread, uintptr_t sp, unsigned index) noexcept {
  ThreadState* holder = holder_[index].load(std::memory_order_relaxed);
  if (holder == &thread) {
    uintptr_t held_from = held_from_[index].load(std::memory_order_relaxed);
    // By CAS: a handler may take it over and give it back between the two.
    return held_from != kNotKnown && was_left(thread, sp, held_from) &&
           held_from_[index].compare_exchange_strong(held_from, sp, std::memory_order_relaxed);
  }
  if (holder != nullptr || !holder_[index].compare_exchange_strong(holder, &thread, std::memory_order_acquire)) {
    return false;
  }
  held_from_[index].store(sp, std::memory_order_relaxed);
  return true;
}

Scratch* ScratchPool::acquire(ThreadState& thread, uintptr_t sp, unsigned& index) noexcept {
  // The one that it had last, which no other thread wants, mostly.
  for (unsigned tried = 0; tried < kBlocks; ++tried) {
    index = (thread.scratch + tried) % kBlocks;
    if (!claim(thread, sp, index)) continue;
    Scratch* block = blocks_[index].load(std::memory_order_relaxed);
    if (block == nullptr) {
      block = static_cast<Scratch*>(memory_.take(sizeof(Scratch)));
      blocks_[index].store(block, std::memory_order_relaxed);
    }
    if (block == nullptr) {
      release(index);
      return nullptr;
    }
    if (tried != 0 && holder_[thread.scratch].load(std::memory_order_relaxed) != &thread) {
      thread.scratch = static_cast<uint16_t>(index);
    }
    return block;
  }
  return nullptr;
}

}  // namespace seep
