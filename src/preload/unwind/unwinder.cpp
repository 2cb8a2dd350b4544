// SPDX-License-Identifier: Apache-2.0
//
// The stack walk; see unwinder.h.
#include "preload/unwind/unwinder.h"

#include "preload/unwind/expression.h"

namespace seep {
namespace {

constexpr unsigned kMostStackSwitches = 4;
constexpr uintptr_t kEntryFrameBytes = 64;         // What the entry code may have pushed.
constexpr uint64_t kLargestUsualFrame = 32 << 10;  // A larger one may be false tables'.

bool is_near(uint64_t a, uint64_t b) { return (a > b ? a - b : b - a) < uint64_t{1} << 28; }

bool is_in_module(uint64_t return_address) {
  ModuleTables tables;
  return LoadedModules::find_tables(return_address - 1, tables);
}

// Whether the frame after the next, found in the same way, is in code again: of a module, or near `caller_pc`.
bool leads_on(const StackMemory& memory, uint64_t frame, uint64_t caller_frame, uint64_t caller_pc) {
  uint64_t next_pc;
  return caller_frame % 8 == 0 && caller_frame > frame && memory.read(caller_frame + 8, next_pc) &&
         (is_in_module(next_pc) || is_near(next_pc, caller_pc));
}

constexpr unsigned index_of_frame_pointer() {
  unsigned index = 0;
  while (kPreservedRegisters[index] != kDwarfFramePointer) ++index;
  return index;
}

constexpr unsigned kFramePointerIndex = index_of_frame_pointer();

}  // namespace

// The registers as they are now: each was saved last by the frame that was left last, of those that saved it. False
// where one cannot be read.
__attribute__((noinline, cold)) bool Unwinder::restore_saved(State& state) noexcept {
  uint64_t restored = 0;  // A slot's bits: its register is.
  while (state.saved_count > 0) {
    const SavedRegisters& saved = state.scratch.saved[--state.saved_count];
    for (uint64_t slots = saved.slots & ~restored; slots != 0;) {
      const unsigned index = static_cast<unsigned>(__builtin_ctzll(slots)) / kSlotBits;
      uint64_t value;
      if (!state.memory.read(saved.cfa - 8 * uint64_t{slot_in(slots, index)}, value)) return false;
      state.registers.set(kPreservedRegisters[index], value);
      restored |= slot_mask(index);
      slots &= ~slot_mask(index);
    }
  }
  return true;
}

__attribute__((always_inline)) inline Unwinder::Step Unwinder::apply_packed(State& state, PackedRow row) noexcept {
  const PackedKind kind = packed_kind(row);
  if (kind == PackedKind::kOutermost) return Step::kOutermost;
  Registers& registers = state.registers;
  const uint64_t sp = registers.value[kDwarfStackPointer];
  const unsigned base = kind == PackedKind::kStackPointer ? kDwarfStackPointer : kDwarfFramePointer;
  if (!registers.has(base)) return Step::kBad;
  WalkedWords& words = state.scratch.words;
  if (base == kDwarfFramePointer) words.follow_frame_pointer();
  const uint64_t cfa = registers.value[base] + packed_cfa_offset(row);
  if (cfa <= sp) return Step::kBad;
  if (__builtin_expect(cfa - sp > kLargestUsualFrame, false)) state.memory.is_guess = true;
  uint64_t pc;
  if (!state.memory.read(cfa - 8, pc)) return Step::kOutsideStack;
  words.add(cfa - 8, pc);
  if (const uint64_t slot = packed_slot(row, kFramePointerIndex); slot != 0) {
    uint64_t value;
    if (!state.memory.read(cfa - 8 * slot, value)) return Step::kOutsideStack;
    registers.set(kDwarfFramePointer, value);
    words.restore_frame_pointer(cfa - 8 * slot, value);
  }
  if (const uint64_t others = packed_slots(row) & ~slot_mask(kFramePointerIndex); others != 0) {
    if (state.saved_count == WalkScratch::kMostSaved && !restore_saved(state)) return Step::kOutsideStack;
    state.scratch.saved[state.saved_count++] = {cfa, others};
  }
  registers.value[kDwarfStackPointer] = cfa;
  registers.value[kDwarfReturnAddress] = pc;
  state.exact_pc = false;
  return pc == 0 ? Step::kOutermost : Step::kDone;
}

Unwinder::Step Unwinder::apply(State& state, const UnwindRow& row, bool signal_frame) noexcept {
  state.scratch.words.usable = false;
  if (!restore_saved(state)) return Step::kOutsideStack;
  const Registers& old = state.registers;
  uint64_t cfa;
  if (row.cfa_expression != nullptr) {
    if (!evaluate(row.cfa_expression, row.cfa_expression_bytes, old, state.memory, nullptr, cfa)) return Step::kBad;
  } else {
    if (!old.has(row.cfa_register)) return Step::kBad;
    cfa = old.value[row.cfa_register] + static_cast<uint64_t>(row.cfa_offset);
  }
  if (cfa - old.value[kDwarfStackPointer] > kLargestUsualFrame) state.memory.is_guess = true;
  Registers caller;
  caller.valid = 0;
  for (unsigned number = 0; number < kDwarfRegisters; ++number) {
    const RegisterRule& rule = row.rules[number];
    uint64_t value = 0;
    switch (rule.kind) {
      case RegisterRule::kSame:
        if (number == kDwarfReturnAddress) return Step::kBad;
        if (number == kDwarfStackPointer) caller.set(number, cfa);
        else if (old.has(number)) caller.set(number, old.value[number]);
        continue;
      case RegisterRule::kUndefined:
        if (number == kDwarfReturnAddress) return Step::kOutermost;
        continue;
      case RegisterRule::kAtOffset:
        if (!state.memory.read(cfa + static_cast<uint64_t>(rule.offset), value)) return Step::kOutsideStack;
        break;
      case RegisterRule::kIsOffset: value = cfa + static_cast<uint64_t>(rule.offset); break;
      case RegisterRule::kRegister:
        if (!old.has(static_cast<unsigned>(rule.number))) continue;
        value = old.value[rule.number];
        break;
      case RegisterRule::kAtExpression:
      case RegisterRule::kIsExpression:
        if (!evaluate(rule.expression, rule.expression_bytes, old, state.memory, &cfa, value)) return Step::kBad;
        if (rule.kind == RegisterRule::kAtExpression && !state.memory.read(value, value)) return Step::kOutsideStack;
        break;
    }
    caller.set(number, value);
  }
  const uint64_t old_sp = old.value[kDwarfStackPointer];
  const uint64_t sp = caller.value[kDwarfStackPointer];
  if (sp < state.memory.low || sp > state.memory.high) {  // Another stack.
    if (++state.stack_switches > kMostStackSwitches) return Step::kBad;
    const bool is_guess = state.memory.is_guess;
    state.memory = find_stack(state.thread, sp);
    state.memory.is_guess |= is_guess;
  } else if (!signal_frame && (sp < old_sp || (sp == old_sp && !state.exact_pc))) {
    // Only what has called nothing yet may have nothing on the stack: its return address is in a register (longjmp).
    return Step::kBad;
  }
  state.registers = caller;
  state.exact_pc = signal_frame;
  return caller.value[kDwarfReturnAddress] == 0 ? Step::kOutermost : Step::kDone;
}

// The convention push rbp; mov rbp, rsp: [rbp] is the caller's, [rbp + 8] the return address. Believed only if it leads
// up the stack, not so far that it may be another stack, and to code: of a module; or near where we are, as JIT code
// calls JIT code; or anywhere, where the chain goes on from there, as JIT code calls what a program has without tables
// (the builtins of node).
Unwinder::Step Unwinder::follow_frame_pointer(State& state, uintptr_t pc) const noexcept {
  Registers& registers = state.registers;
  state.scratch.words.usable = false;
  // The program's entry has no tables, nor has it a caller: a walk that comes there is whole.
  const uint64_t sp = registers.value[kDwarfStackPointer];
  if (process_stack_start != 0 && process_stack_start - sp < kEntryFrameBytes) return Step::kOutermost;
  if (!registers.has(kDwarfFramePointer)) return Step::kNoTables;
  const uint64_t frame = registers.value[kDwarfFramePointer];
  state.memory.is_guess = true;
  uint64_t caller_frame, caller_pc;
  if (frame % 8 != 0 || frame < sp || frame - sp > kLargestUsualFrame || !state.memory.read(frame, caller_frame) ||
      !state.memory.read(frame + 8, caller_pc)) {
    return Step::kNoTables;
  }
  const bool plausible = is_in_module(caller_pc) || (!is_in_module(pc + 1) && is_near(caller_pc, pc)) ||
                         leads_on(state.memory, frame, caller_frame, caller_pc);
  if (caller_pc == 0 || !plausible) return Step::kNoTables;
  registers.valid = 0;
  state.saved_count = 0;
  registers.set(kDwarfFramePointer, caller_frame);
  registers.set(kDwarfStackPointer, frame + 16);
  registers.set(kDwarfReturnAddress, caller_pc);
  state.exact_pc = false;
  return Step::kDone;
}

// From the tables; what they say goes into the cache.
Unwinder::Step Unwinder::step(State& state, uintptr_t pc) const noexcept {
  if (pc - state.tables.start >= state.tables.end - state.tables.start &&
      !LoadedModules::find_tables(pc, state.tables)) {
    state.tables = {};
    return follow_frame_pointer(state, pc);
  }
  bool signal_frame = false;
  UnwindRow& row = state.scratch.row;
  switch (find_row(pc, state.tables, state.scratch.cfi, row, signal_frame)) {
    // A return address that is a function's first byte, and no code before: nobody called that, it was put there. So
    // glibc's makecontext has a fiber's function return to __start_context.
    case RowResult::kNone:
      return !state.exact_pc && begins_function(pc + 1, state.tables) ? Step::kOutermost
                                                                      : follow_frame_pointer(state, pc);
    case RowResult::kBad: return Step::kBad;
    case RowResult::kFound: break;
  }
  const PackedRow packed = pack_row(row, signal_frame);
  if (packed == 0) return apply(state, row, signal_frame);
  rows_.insert(pc, state.generation, packed);
  return apply_packed(state, packed);
}

Walk Unwinder::walk(Registers& registers, ThreadState& thread, WalkScratch& scratch, uintptr_t* pcs,
                    uint32_t limit) const noexcept {
  State state{registers,
              find_stack(thread, registers.value[kDwarfStackPointer]),
              thread,
              scratch,
              true,
              0,
              modules_.generation(),
              {},
              0};
  uint32_t count = 0;
  const auto end = [&](Cut cut) -> Walk {
    if (state.memory.is_guess) scratch.words.usable = false;
    return {count, cut};
  };
  scratch.words.usable = false;
  for (;;) {
    const uintptr_t pc = registers.value[kDwarfReturnAddress] - (state.exact_pc ? 0 : 1);
    if (count > 0 || !skips(pc)) {
      if (count == 0) {
        scratch.words.start(registers.value[kDwarfReturnAddress], registers.value[kDwarfStackPointer],
                            registers.value[kDwarfFramePointer]);
      }
      if (count == limit) {
        (void)restore_saved(state);
        return end(Cut::kDepthLimit);
      }
      pcs[count++] = pc;
    }
    const PackedRow cached = rows_.find(pc, state.generation);
    switch (cached != 0 ? apply_packed(state, cached) : step(state, pc)) {
      case Step::kDone: break;
      case Step::kOutermost: return end(Cut::kWhole);
      case Step::kNoTables: return end(Cut::kNoUnwindInformation);
      case Step::kOutsideStack: return end(Cut::kOutsideStack);
      case Step::kBad: return end(Cut::kBadUnwindInformation);
    }
  }
}

}  // namespace seep
