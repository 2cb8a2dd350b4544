// SPDX-License-Identifier: Apache-2.0
//
// Running a seccomp filter; see seccomp_filter.h.
#include "preload/seccomp_filter.h"

#include <linux/seccomp.h>

#include <cstddef>

#include "processor/processor.h"

namespace seep {
namespace {

class FilterRun {
 public:
  FilterRun(const sock_filter* program, unsigned instructions, unsigned number)
      : program_(program), instructions_(instructions), number_(number) {}

  // The filter's return value; false where it is not known.
  [[nodiscard]] bool run(uint32_t& result) noexcept {
    // Jumps lead forward only, so each instruction runs once at most.
    for (unsigned at = 0; at < instructions_; ++at) {
      const sock_filter& instruction = program_[at];
      const unsigned operation = instruction.code & 0xF0;
      const uint32_t operand = (instruction.code & BPF_X) != 0 ? index_ : instruction.k;
      switch (BPF_CLASS(instruction.code)) {
        case BPF_LD:
          if (!load(instruction, accumulator_)) return false;
          break;
        case BPF_LDX:
          if (!load(instruction, index_)) return false;
          break;
        case BPF_ST:
        case BPF_STX:
          if (instruction.k >= BPF_MEMWORDS) return false;
          memory_[instruction.k] = BPF_CLASS(instruction.code) == BPF_ST ? accumulator_ : index_;
          break;
        case BPF_ALU:
          if (!calculate(operation, operand)) return false;
          break;
        case BPF_JMP: {
          const uint64_t jump = operation == BPF_JA         ? uint64_t{instruction.k}
                                : holds(operation, operand) ? uint64_t{instruction.jt}
                                                            : uint64_t{instruction.jf};
          if (jump >= instructions_) return false;
          at += static_cast<unsigned>(jump);
          break;
        }
        case BPF_RET: result = BPF_RVAL(instruction.code) == BPF_A ? accumulator_ : instruction.k; return true;
        case BPF_MISC: (BPF_MISCOP(instruction.code) == BPF_TXA ? accumulator_ : index_) = other(instruction); break;
        default: return false;
      }
    }
    return false;
  }

 private:
  [[nodiscard]] uint32_t other(const sock_filter& instruction) const noexcept {
    return BPF_MISCOP(instruction.code) == BPF_TXA ? index_ : accumulator_;
  }

  bool load(const sock_filter& instruction, uint32_t& into) noexcept {
    switch (BPF_MODE(instruction.code)) {
      case BPF_IMM: into = instruction.k; return true;
      case BPF_LEN: into = sizeof(seccomp_data); return true;
      case BPF_MEM: into = memory_[instruction.k % BPF_MEMWORDS]; return instruction.k < BPF_MEMWORDS;
      case BPF_ABS:
        into = instruction.k == offsetof(seccomp_data, nr) ? number_ : kAuditArchitecture;
        return instruction.k == offsetof(seccomp_data, nr) || instruction.k == offsetof(seccomp_data, arch);
      default: return false;
    }
  }

  bool calculate(unsigned operation, uint32_t operand) noexcept {
    uint32_t& a = accumulator_;
    switch (operation) {
      case BPF_ADD: a += operand; return true;
      case BPF_SUB: a -= operand; return true;
      case BPF_MUL: a *= operand; return true;
      case BPF_DIV: a = operand == 0 ? 0 : a / operand; return operand != 0;
      case BPF_OR: a |= operand; return true;
      case BPF_AND: a &= operand; return true;
      case BPF_XOR: a ^= operand; return true;
      case BPF_LSH: a = operand < 32 ? a << operand : 0; return operand < 32;
      case BPF_RSH: a = operand < 32 ? a >> operand : 0; return operand < 32;
      case BPF_NEG: a = 0 - a; return true;
      default: return false;
    }
  }

  [[nodiscard]] bool holds(unsigned operation, uint32_t operand) const noexcept {
    switch (operation) {
      case BPF_JEQ: return accumulator_ == operand;
      case BPF_JGT: return accumulator_ > operand;
      case BPF_JGE: return accumulator_ >= operand;
      default: return (accumulator_ & operand) != 0;  // BPF_JSET
    }
  }

  const sock_filter* program_;
  unsigned instructions_, number_;
  uint32_t accumulator_ = 0, index_ = 0;
  uint32_t memory_[BPF_MEMWORDS] = {};
};

}  // namespace

bool filter_lets_pass(const sock_filter* program, unsigned instructions, unsigned number) noexcept {
  uint32_t result;
  if (!FilterRun(program, instructions, number).run(result)) return false;
  const uint32_t action = result & SECCOMP_RET_ACTION_FULL;
  return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_ERRNO;
}

SystemGate::Denied denied_by_filter(const sock_filter* program, unsigned instructions) noexcept {
  SystemGate::Denied denied{};
  for (unsigned number = 0; number < SystemGate::kNumbers; ++number) {
    if (!filter_lets_pass(program, instructions, number)) denied.add(number);
  }
  return denied;
}

}  // namespace seep
