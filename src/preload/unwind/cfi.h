// SPDX-License-Identifier: Apache-2.0
//
// Call frame information: from .eh_frame, how the caller's registers are found at one pc (DWARF 5, section 6.4;
// LSB 5.0, "Exception Frames"). The frame description is found by binary search in .eh_frame_hdr, its program
// interpreted up to the pc. Reads the unwind tables of one loaded module and nothing else; no allocation, no locks.
// Runs inside the host, any thread, signal handlers.
#pragma once

#include <cstdint>

#include "processor/processor.h"

namespace seep {

struct RegisterRule {
  enum Kind : uint8_t { kSame, kUndefined, kAtOffset, kIsOffset, kAtExpression, kIsExpression, kRegister };
  Kind kind;
  uint16_t expression_bytes;
  union {
    int64_t offset;  // From the CFA, for kAtOffset and kIsOffset.
    const uint8_t* expression;
    uint64_t number;  // Of the register that holds it.
  };
};

// One row of the unwind table: what holds at one pc.
struct UnwindRow {
  const uint8_t* cfa_expression;  // Null: register plus offset.
  uint32_t cfa_expression_bytes;
  uint32_t cfa_register;
  int64_t cfa_offset;
  RegisterRule rules[kDwarfRegisters];
};

// What interpreting needs beside the stack.
struct CfiScratch {
  static constexpr unsigned kRememberedStates = 6;
  UnwindRow initial;
  UnwindRow remembered[kRememberedStates];
};

// A module's code and its unwind tables, all inside [start, end).
struct ModuleTables {
  uintptr_t start, end;
  const uint8_t* eh_frame_hdr;
};

enum class RowResult { kFound, kNone, kBad };

// `pc` is an address inside the instruction in question (a return address minus one). `signal_frame`: its caller was
// interrupted, not calling, so the caller's pc is exact.
[[nodiscard]] RowResult find_row(uintptr_t pc, const ModuleTables& tables, CfiScratch& scratch, UnwindRow& row,
                                 bool& signal_frame) noexcept;

// Whether a function, as the tables tell them apart, has its first byte at `pc`.
[[nodiscard]] bool begins_function(uintptr_t pc, const ModuleTables& tables) noexcept;

}  // namespace seep
