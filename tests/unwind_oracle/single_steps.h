// SPDX-License-Identifier: Apache-2.0
//
// Lets a thread run instruction by instruction, by the processor's trap flag: after each comes SIGTRAP, and its handler
// calls what was given to `catch_traps`. For programs that leave SIGTRAP alone. Runs inside the host.
#pragma once

#include <cstdint>

namespace seep {

// Once. `at_each` is called on the stack of what was interrupted, in a signal's frame; false: no more steps.
void catch_traps(bool (*at_each)()) noexcept;

// False: not now. True: this thread is to call `step_from_here`, and goes on by so many steps.
[[nodiscard]] bool prepare_steps(uint64_t steps) noexcept;

[[nodiscard]] bool is_stepping() noexcept;

// Inlined: the first trap comes after the instruction that follows. Not above a red zone (-mno-red-zone).
__attribute__((always_inline)) inline void step_from_here() noexcept {
  __asm__ volatile(
      "pushfq\n\t"
      "orq $0x100, (%%rsp)\n\t"
      "popfq" ::
          : "memory", "cc");
}

}  // namespace seep
