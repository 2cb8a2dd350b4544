// SPDX-License-Identifier: Apache-2.0
//
// Scratch memory for the slow path, so that it needs little of the host's stack (which may be 16 KiB, or an alternate
// stack of less). One block for each thread or nested signal handler that is inside the recorder at this moment, not
// for each thread there is. Blocks are claimed by CAS and never given back to the kernel.
//
// A signal handler that leaves by siglongjmp, or a thread that is cancelled, may leave the recorder for good with a
// block in hand. So a block says who holds it, and from which depth of the stack: where its holder is back above that
// depth, on the same stack, nobody uses it any more, and its holder takes it over.
//
//     stack of one thread      | main | f | malloc: holds 0 |  signal  | handler | malloc: needs another: 1 |
//     after a siglongjmp to f  | main | f | malloc: finds 0 held by itself, from below: takes it over |
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/private_memory.h"
#include "preload/thread_state.h"
#include "preload/unwind/unwinder.h"
#include "record/snapshot_encoder.h"

namespace seep {

struct Scratch {
  uintptr_t pcs[kMaxDepth];
  Frame frames[kMaxDepth];
  WalkScratch walk;
  char path[LoadedModules::kScratchBytes];
};

class ScratchPool {
 public:
  static constexpr unsigned kBlocks = 1024;

  constexpr explicit ScratchPool(PrivateMemory& memory) : memory_(memory) {}

  // For the thread of `thread`, whose stack pointer is `sp` or lower by less than a frame. Null where all are taken, or
  // there is no memory for one more. `index` is for `release`.
  [[nodiscard]] Scratch* acquire(ThreadState& thread, uintptr_t sp, unsigned& index) noexcept;
  void release(unsigned index) noexcept {
    held_from_[index].store(kNotKnown, std::memory_order_relaxed);
    holder_[index].store(nullptr, std::memory_order_release);
  }
  // Whether somebody is inside with it, or has left it behind.
  [[nodiscard]] bool is_held(unsigned index) const noexcept {
    return index < kBlocks && holder_[index].load(std::memory_order_acquire) != nullptr;
  }

 private:
  static constexpr uintptr_t kNotKnown = 0;  // Between the two stores of who takes a block: no handler may conclude.

  [[nodiscard]] bool claim(ThreadState& thread, uintptr_t sp, unsigned index) noexcept;
  [[nodiscard]] bool was_left(const ThreadState& thread, uintptr_t sp, uintptr_t held_from) const noexcept;

  PrivateMemory& memory_;
  std::atomic<ThreadState*> holder_[kBlocks]{};  // Null: free.
  std::atomic<uintptr_t> held_from_[kBlocks]{};  // The stack pointer that `holder_` took it with.
  std::atomic<Scratch*> blocks_[kBlocks]{};
};

}  // namespace seep
