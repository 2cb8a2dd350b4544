// SPDX-License-Identifier: Apache-2.0
//
// The evaluator of DWARF expressions; see expression.h.
#include "preload/unwind/expression.h"

#include "preload/unwind/reader.h"

namespace seep {
namespace {

class Evaluator {
 public:
  Evaluator(const Registers& registers, const StackMemory& memory) : registers_(registers), memory_(memory) {}

  void push(uint64_t value) {
    if (depth_ == kDepth) bad_ = true;
    else stack_[depth_++] = value;
  }

  bool run(const uint8_t* expression, uint32_t bytes, uint64_t& result) {
    DwarfReader reader(expression, expression, expression + bytes);
    for (unsigned steps = 0; !reader.done() && !bad_; ++steps) {
      if (steps == kMostSteps) return false;
      step(reader, expression, expression + bytes);
    }
    result = pop();
    return !bad_ && !reader.bad();
  }

 private:
  static constexpr unsigned kDepth = 16;
  static constexpr unsigned kMostSteps = 256;

  uint64_t pop() {
    if (depth_ == 0) {
      bad_ = true;
      return 0;
    }
    return stack_[--depth_];
  }

  uint64_t peek(unsigned below) {
    if (below >= depth_) {
      bad_ = true;
      return 0;
    }
    return stack_[depth_ - 1 - below];
  }

  void push_register(uint64_t number, int64_t offset) {
    if (number >= kDwarfRegisters || !registers_.has(static_cast<unsigned>(number))) bad_ = true;
    else push(registers_.value[number] + static_cast<uint64_t>(offset));
  }

  void dereference(unsigned bytes) {
    uint64_t value = 0;
    if (bytes == 0 || bytes > 8 || !memory_.read(pop(), value)) bad_ = true;
    push(bytes >= 8 ? value : value & ((uint64_t{1} << (8 * bytes)) - 1));
  }

  void jump(DwarfReader& reader, const uint8_t* start, const uint8_t* end, bool taken) {
    const int16_t distance = reader.fixed<int16_t>();
    if (taken) reader = DwarfReader(reader.at() + distance, start, end);
  }

  void step(DwarfReader& reader, const uint8_t* start, const uint8_t* end) {
    const uint8_t operation = reader.byte();
    if (operation >= 0x30 && operation <= 0x4F) return push(operation - 0x30);  // lit0..31
    if (operation >= 0x70 && operation <= 0x8F) return push_register(operation - 0x70, reader.signed_leb());  // breg
    switch (operation) {
      case 0x03: return push(reader.fixed<uint64_t>());  // addr
      case 0x06: return dereference(8);
      case 0x08: return push(reader.fixed<uint8_t>());
      case 0x09: return push(static_cast<uint64_t>(static_cast<int64_t>(reader.fixed<int8_t>())));
      case 0x0A: return push(reader.fixed<uint16_t>());
      case 0x0B: return push(static_cast<uint64_t>(static_cast<int64_t>(reader.fixed<int16_t>())));
      case 0x0C: return push(reader.fixed<uint32_t>());
      case 0x0D: return push(static_cast<uint64_t>(static_cast<int64_t>(reader.fixed<int32_t>())));
      case 0x0E:
      case 0x0F: return push(reader.fixed<uint64_t>());
      case 0x10: return push(reader.unsigned_leb());
      case 0x11: return push(static_cast<uint64_t>(reader.signed_leb()));
      case 0x12: return push(peek(0));              // dup
      case 0x13: pop(); return;                     // drop
      case 0x14: return push(peek(1));              // over
      case 0x15: return push(peek(reader.byte()));  // pick
      case 0x16:
      case 0x17: return rotate(operation == 0x16 ? 2 : 3);
      case 0x23: push(pop() + reader.unsigned_leb()); return;  // plus_uconst
      case 0x28: return jump(reader, start, end, pop() != 0);  // bra
      case 0x2F: return jump(reader, start, end, true);        // skip
      case 0x92: {                                             // bregx
        const uint64_t number = reader.unsigned_leb();
        return push_register(number, reader.signed_leb());
      }
      case 0x94: return dereference(reader.byte());  // deref_size
      case 0x96: return;                             // nop
      default: return arithmetic(operation);
    }
  }

  void rotate(unsigned count) {  // The top goes below the next count - 1.
    if (depth_ < count) {
      bad_ = true;
      return;
    }
    const uint64_t top = stack_[depth_ - 1];
    for (unsigned i = 1; i < count; ++i) stack_[depth_ - i] = stack_[depth_ - i - 1];
    stack_[depth_ - count] = top;
  }

  void arithmetic(uint8_t operation) {
    const uint64_t top = pop();
    const int64_t signed_top = static_cast<int64_t>(top);
    switch (operation) {
      case 0x19: return push(signed_top < 0 ? ~top + 1 : top);  // abs
      case 0x1F: return push(~top + 1);                         // neg
      case 0x20: return push(~top);                             // not
      default: break;
    }
    const uint64_t below = pop();
    const int64_t signed_below = static_cast<int64_t>(below);
    switch (operation) {
      case 0x1A: return push(below & top);
      case 0x1B:  // div, signed
        if (top == 0 || (top == ~uint64_t{0} && below == uint64_t{1} << 63)) break;
        return push(static_cast<uint64_t>(signed_below / signed_top));
      case 0x1C: return push(below - top);
      case 0x1D:
        if (top == 0) break;
        return push(below % top);
      case 0x1E: return push(below * top);
      case 0x21: return push(below | top);
      case 0x22: return push(below + top);
      case 0x24: return push(top < 64 ? below << top : 0);
      case 0x25: return push(top < 64 ? below >> top : 0);
      case 0x26: return push(static_cast<uint64_t>(signed_below >> (top < 64 ? top : 63)));
      case 0x27: return push(below ^ top);
      case 0x29: return push(signed_below == signed_top);
      case 0x2A: return push(signed_below >= signed_top);
      case 0x2B: return push(signed_below > signed_top);
      case 0x2C: return push(signed_below <= signed_top);
      case 0x2D: return push(signed_below < signed_top);
      case 0x2E: return push(signed_below != signed_top);
      default: break;
    }
    bad_ = true;
  }

  const Registers& registers_;
  const StackMemory& memory_;
  uint64_t stack_[kDepth];
  unsigned depth_ = 0;
  bool bad_ = false;
};

}  // namespace

bool evaluate(const uint8_t* expression, uint32_t bytes, const Registers& registers, const StackMemory& memory,
              const uint64_t* initial, uint64_t& result) noexcept {
  Evaluator evaluator(registers, memory);
  if (initial != nullptr) evaluator.push(*initial);
  return evaluator.run(expression, bytes, result);
}

}  // namespace seep
