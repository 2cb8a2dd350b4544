// SPDX-License-Identifier: Apache-2.0
//
// The differential test of the unwinder: a preload that walks the stack at every call of the malloc family twice, by
// seep's unwinder and by libunwind's plain stepping, from the same registers, and compares pc by pc, and how the walk
// ended. A new stack is walked a third time, without the row cache, and in one of its frames, whichever, the registers
// are compared, too: which frames are found depends on few of them. At exit it writes what it counted; what differed,
// when it differs. For tests alone: it is never installed, and no part of libseep.so.
//
// It can also let the program run instruction by instruction for a while and compare after each, from a signal handler:
// a walk then begins at every place that a signal can interrupt. And it can stop at chosen stacks, and at those that
// differ, for gdb to say what it sees (gdb_walks.py).
//
//   UNWIND_ORACLE=DIR      where to write DIR/PID.json and DIR/PID.differences; without it nothing is compared
//   UNWIND_ORACLE_EVERY=N  compare each Nth call only
//   UNWIND_ORACLE_MOST=N   stop comparing after N stacks
//   UNWIND_ORACLE_STEP=N   after each Nth comparison, go on instruction by instruction for
//   UNWIND_ORACLE_STEPS=N  instructions
//   UNWIND_ORACLE_STOP=N   raise signal 64 at each Nth new stack, and at each that differs
//   UNWIND_ORACLE_LIE=N    change the Nth frame that seep found, to show that this is noticed
//
// Two things are counted apart. Where a walk ends in a frame without unwind tables, what to call that end is a matter
// of convention (libunwind: whole if the frame pointer is 0; seep: whole at the entry of the process and of a fiber):
// the frames must be the same. And of rules that put a register into another register, or make one an offset from the
// CFA, libunwind 1.6.2 takes the register as it is in the innermost frame, the CFA for the stack pointer, and the
// offset for a place: where such a rule is on the way the walks may differ, and gdb has to say who is right.
//
// Runs inside the host, any thread, signal handlers. Silent in children of fork and vfork.
#pragma once

#include <cstdint>

#include "processor/processor.h"

namespace seep {

// Compares what is found from here on. Always inlined into a hook, so that the walk starts in it. True: the hook is to
// switch single steps on, as the last thing that it does.
[[nodiscard]] bool compare_from(const Registers& registers) noexcept;
[[nodiscard]] __attribute__((always_inline)) inline bool compare_here() noexcept {
  Registers registers;
  capture_registers(registers);
  return compare_from(registers);
}

// What was remembered of code is void.
void forget_loaded_code() noexcept;

}  // namespace seep
