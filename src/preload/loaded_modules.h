// SPDX-License-Identifier: Apache-2.0
//
// What is mapped as code where: from a pc to its module's number in the recording, its load bias and its unwind tables.
//
// The loader's own index is asked (`_dl_find_object`: lock-free, safe in signal handlers), never `dl_iterate_phdr`,
// whose lock a fork may have left taken. What it finds is remembered by its bounds, valid for one generation: dlclose
// bumps the generation before and after, and so does a fork, whose child has a recording of its own. A module that was
// remembered in an older generation is compared by build id and path before it is believed again.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/private_memory.h"
#include "preload/unwind/cfi.h"
#include "record/region.h"

struct link_map;

namespace seep {

struct ModuleView {
  ModuleTables tables{};  // start == end: no module here.
  uint64_t load_bias = 0;
  uint32_t id = 0;  // In the recording; 0 where it could not be entered.
  [[nodiscard]] bool holds(uintptr_t pc) const { return pc - tables.start < tables.end - tables.start; }
};

class LoadedModules {
 public:
  constexpr explicit LoadedModules(PrivateMemory& memory) : memory_(memory) {}

  [[nodiscard]] uint32_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
  uint32_t next_generation() noexcept { return generation_.fetch_add(1, std::memory_order_acq_rel) + 1; }

  // The bounds and tables of the module at `pc`; false: none. Does not need a recording.
  [[nodiscard]] static bool find_tables(uintptr_t pc, ModuleTables& tables) noexcept;

  // The whole view, entered into the recording if it is new. False: no module is there. `scratch` has kScratchBytes.
  static constexpr unsigned kScratchBytes = 4096;
  [[nodiscard]] bool find(uintptr_t pc, Region region, char* scratch, ModuleView& view) noexcept;

  // Whether `view`, as `find` gave it for `pc`, is still what is mapped there: glibc itself unloads libraries (iconv's)
  // without a dlclose that we could see.
  [[nodiscard]] bool still_loaded(uintptr_t pc, const ModuleView& view) const noexcept;

 private:
  static constexpr unsigned kHeadsLog2 = 9;

  struct Known {
    Known* next;
    uintptr_t start, end;
    link_map* map;
    uint8_t build_id[32];
    unsigned build_id_bytes;
    std::atomic<uint64_t> generation_and_id;  // Valid for this generation (high half) with this number (low half).
  };

  [[nodiscard]] Known* find_known(uintptr_t start, uintptr_t end, link_map* map, const uint8_t* build_id,
                                  unsigned build_id_bytes) noexcept;
  [[nodiscard]] Known* remember(uintptr_t start, uintptr_t end, link_map* map, const uint8_t* build_id,
                                unsigned build_id_bytes) noexcept;
  [[nodiscard]] Known* take_known() noexcept;

  PrivateMemory& memory_;
  std::atomic<uint32_t> generation_{1};
  std::atomic<Known*> heads_[1 << kHeadsLog2]{};
  std::atomic<char*> pool_{nullptr};  // Of Known entries, a page after the other.
  std::atomic<uint32_t> pool_used_{0};
};

}  // namespace seep
