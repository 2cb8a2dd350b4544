// SPDX-License-Identifier: Apache-2.0
//
// Scratch memory for the slow path, so that it needs little of the host's stack (which may be 16 KiB, or an alternate
// stack of less). One block for each thread or nested signal handler that is inside the recorder at this moment, not
// for each thread there is. Blocks are claimed by CAS and never given back to the kernel.
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/private_memory.h"
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

  // Null where all are taken, or there is no memory for one more. `index` is for `release`.
  [[nodiscard]] Scratch* acquire(unsigned& index) noexcept;
  void release(unsigned index) noexcept { busy_[index].store(0, std::memory_order_release); }

 private:
  PrivateMemory& memory_;
  std::atomic<uint8_t> busy_[kBlocks]{};
  std::atomic<Scratch*> blocks_[kBlocks]{};
};

}  // namespace seep
