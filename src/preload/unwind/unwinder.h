// SPDX-License-Identifier: Apache-2.0
//
// The stack walk: from the registers here to the pcs of all callers, by unwind tables (row_cache.h, cfi.h). Where a
// frame has none (JIT code, hand-written assembler), one step by the frame pointer if that is plausible, else the trace
// ends there and says so. Memory is read only inside the current stack, and inside the unwind tables of loaded modules.
//
// A signal frame may lead from an alternate stack back to the interrupted one: the bounds are then found anew.
// Runs inside the host, any thread, signal handlers, lock-free. About 600 bytes of stack.
#pragma once

#include <cstdint>

#include "preload/loaded_modules.h"
#include "preload/thread_state.h"
#include "preload/unwind/cfi.h"
#include "preload/unwind/row_cache.h"
#include "preload/unwind/stack_memory.h"
#include "preload/unwind/walked_words.h"
#include "record/trace_table.h"

namespace seep {

// Where a frame that has been left saved what its caller had in registers.
struct SavedRegisters {
  uint64_t cfa;
  uint64_t slots;  // As in a packed row.
};

struct WalkScratch {
  static constexpr unsigned kMostSaved = 64;

  CfiScratch cfi;
  UnwindRow row;
  SavedRegisters saved[kMostSaved];
  WalkedWords words;  // What the last walk went by.
};

struct Walk {
  uint32_t count;  // Of pcs, innermost first; each is an address inside the instruction that was executing.
  Cut cut;
};

class Unwinder {
 public:
  constexpr Unwinder(LoadedModules& modules, RowCache& rows) : modules_(modules), rows_(rows) {}

  // Frames in [skip_start, skip_end) at the inner end are left out: seep's own. Writes at most `limit` pcs.
  void skip_frames_in(uintptr_t skip_start, uintptr_t skip_end) noexcept {
    skip_start_ = skip_start;
    skip_end_ = skip_end;
  }
  [[nodiscard]] bool skips(uintptr_t pc) const noexcept { return pc - skip_start_ < skip_end_ - skip_start_; }
  // `registers` are then those of the frame behind the last pc, where the limit was reached.
  [[nodiscard]] Walk walk(Registers& registers, ThreadState& thread, WalkScratch& scratch, uintptr_t* pcs,
                          uint32_t limit) const noexcept;

 private:
  enum class Step { kDone, kOutermost, kNoTables, kOutsideStack, kBad };

  struct State {
    Registers& registers;
    StackMemory memory;
    ThreadState& thread;
    WalkScratch& scratch;
    bool exact_pc;  // The pc is that of an interrupted instruction, not a return address.
    unsigned stack_switches;
    uint32_t generation;
    ModuleTables tables;  // Of the frame before, to save look-ups.
    // Rows hardly ever want another register than the stack and the frame pointer: the others are left where they were
    // saved, in scratch.saved, until one does.
    unsigned saved_count;
  };

  [[nodiscard]] Step step(State& state, uintptr_t pc) const noexcept;
  [[nodiscard]] static bool restore_saved(State& state) noexcept;
  [[nodiscard]] static Step apply_packed(State& state, PackedRow row) noexcept;
  [[nodiscard]] static Step apply(State& state, const UnwindRow& row, bool signal_frame) noexcept;
  [[nodiscard]] Step follow_frame_pointer(State& state, uintptr_t pc) const noexcept;

  LoadedModules& modules_;
  RowCache& rows_;
  uintptr_t skip_start_ = 0, skip_end_ = 0;
};

}  // namespace seep
