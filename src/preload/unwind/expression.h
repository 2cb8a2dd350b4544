// SPDX-License-Identifier: Apache-2.0
//
// DWARF expressions as unwind tables use them (DWARF 5, section 2.5): the PLT's, __restore_rt's, and those of
// hand-written assembler. A small stack machine with a bound on steps; memory is read from the current stack only,
// anything else makes the expression fail. Runs inside the host, any thread, signal handlers.
#pragma once

#include <cstdint>

#include "preload/unwind/stack_memory.h"
#include "processor/processor.h"

namespace seep {

// Evaluates `bytes` at `expression`; the stack begins with `initial` if it is not null. False: it failed.
[[nodiscard]] bool evaluate(const uint8_t* expression, uint32_t bytes, const Registers& registers,
                            const StackMemory& memory, const uint64_t* initial, uint64_t& result) noexcept;

}  // namespace seep
