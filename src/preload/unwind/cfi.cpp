// SPDX-License-Identifier: Apache-2.0
//
// Call frame information; see cfi.h. In order: the search table, the two kinds of entry, the interpreter.
#include "preload/unwind/cfi.h"

#include "preload/unwind/reader.h"

namespace seep {
namespace {

struct CommonEntry {  // What we need of a CIE.
  uint64_t code_alignment = 1;
  int64_t data_alignment = 1;
  uint64_t return_register = kDwarfReturnAddress;
  uint8_t address_encoding = 0;
  bool has_augmentation = false;
  bool signal_frame = false;
  const uint8_t* program = nullptr;
  const uint8_t* end = nullptr;
};

struct FrameEntry {  // And of an FDE.
  uint64_t first_pc = 0;
  uint64_t code_bytes = 0;
  const uint8_t* program = nullptr;
  const uint8_t* end = nullptr;
};

DwarfReader reader_at(const uint8_t* at, const ModuleTables& tables) {
  return DwarfReader(at, reinterpret_cast<const uint8_t*>(tables.start), reinterpret_cast<const uint8_t*>(tables.end));
}

// Binary search in the table of (first pc, FDE) pairs, both 4 bytes relative to the header, as every linker writes it.
RowResult find_entry(uintptr_t pc, const ModuleTables& tables, const uint8_t*& entry) {
  DwarfReader reader = reader_at(tables.eh_frame_hdr, tables);
  const uint64_t base = reinterpret_cast<uint64_t>(tables.eh_frame_hdr);
  const uint8_t version = reader.byte();
  const uint8_t frame_encoding = reader.byte();
  const uint8_t count_encoding = reader.byte();
  const uint8_t table_encoding = reader.byte();
  if (reader.bad() || version != 1) return RowResult::kBad;
  if (count_encoding == kEncodingOmit || table_encoding != (kEncodingDataRelative | 0x0B)) return RowResult::kNone;
  reader.pointer(frame_encoding, base);
  const uint64_t count = reader.pointer(count_encoding, base);
  struct Pair {
    int32_t first_pc, entry;
  };
  const uint8_t* table = reader.at();
  reader.skip(count <= UINT32_MAX ? count * sizeof(Pair) : UINT64_MAX);
  if (reader.bad()) return RowResult::kBad;
  const int64_t wanted = static_cast<int64_t>(pc - base);
  uint64_t low = 0, high = count;  // Last pair that does not lie behind the pc.
  Pair pair;
  while (low < high) {
    const uint64_t middle = (low + high) / 2;
    memcpy(&pair, table + middle * sizeof(Pair), sizeof pair);
    if (pair.first_pc <= wanted) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return RowResult::kNone;
  memcpy(&pair, table + (low - 1) * sizeof(Pair), sizeof pair);
  entry = tables.eh_frame_hdr + pair.entry;
  return RowResult::kFound;
}

// The length field that begins both kinds of entry; narrows the reader to the entry.
bool enter(DwarfReader& reader) {
  uint64_t length = reader.fixed<uint32_t>();
  if (length == UINT32_MAX) length = reader.fixed<uint64_t>();
  if (reader.bad() || length == 0) return false;
  const uint8_t* start = reader.at();
  reader.skip(length);
  if (reader.bad()) return false;
  const uint8_t* end = reader.at();
  reader = DwarfReader(start, start, end);
  return true;
}

bool read_augmentation(DwarfReader& reader, const char* augmentation, CommonEntry& common) {
  const uint64_t bytes = reader.unsigned_leb();
  const uint8_t* data = reader.at();
  for (const char* letter = augmentation + 1; *letter != '\0'; ++letter) {
    switch (*letter) {
      case 'R': common.address_encoding = reader.byte(); break;
      case 'L': reader.byte(); break;
      case 'P': {
        const uint8_t encoding = reader.byte();
        reader.raw(encoding & kEncodingFormatMask);
        break;
      }
      case 'S': common.signal_frame = true; break;
      case 'B': break;  // aarch64: return addresses are signed.
      default: return false;
    }
  }
  reader = DwarfReader(data, data, common.end);
  reader.skip(bytes);
  return !reader.bad();
}

bool read_common_entry(const uint8_t* at, const ModuleTables& tables, CommonEntry& common) {
  DwarfReader reader = reader_at(at, tables);
  if (!enter(reader)) return false;
  const uint8_t* start = reader.at();
  common.end = reader.end();
  if (reader.fixed<uint32_t>() != 0) return false;  // A CIE has 0 where an FDE names its CIE.
  const uint8_t version = reader.byte();
  const char* augmentation = reinterpret_cast<const char*>(reader.at());
  while (!reader.bad() && reader.byte() != 0) {
  }
  if (reader.bad() || (version != 1 && version != 3)) return false;
  common.code_alignment = reader.unsigned_leb();
  common.data_alignment = reader.signed_leb();
  common.return_register = version == 1 ? reader.byte() : reader.unsigned_leb();
  common.has_augmentation = augmentation[0] == 'z';
  if (common.has_augmentation && !read_augmentation(reader, augmentation, common)) return false;
  if (!common.has_augmentation && augmentation[0] != '\0') return false;
  common.program = reader.at();
  return !reader.bad() && start < common.end && common.return_register < kDwarfRegisters;
}

bool read_frame_entry(const uint8_t* at, const ModuleTables& tables, CommonEntry& common, FrameEntry& frame) {
  DwarfReader reader = reader_at(at, tables);
  if (!enter(reader)) return false;
  const uint8_t* common_field = reader.at();
  const uint32_t common_distance = reader.fixed<uint32_t>();
  if (reader.bad() || common_distance == 0) return false;
  if (!read_common_entry(common_field - common_distance, tables, common)) return false;
  frame.first_pc = reader.pointer(common.address_encoding, 0);
  frame.code_bytes = reader.raw(common.address_encoding & kEncodingFormatMask);
  if (common.has_augmentation) reader.skip(reader.unsigned_leb());
  frame.program = reader.at();
  frame.end = reader.end();
  return !reader.bad();
}

// ---- The interpreter (DWARF 5, 6.4.2).

class Interpreter {
 public:
  Interpreter(const CommonEntry& common, CfiScratch& scratch, UnwindRow& row)
      : common_(common), scratch_(scratch), row_(row) {}

  // Runs a program until its end or until the row for `pc` is complete.
  [[nodiscard]] bool run(const uint8_t* at, const uint8_t* end, uint64_t first_pc, uint64_t pc) {
    DwarfReader reader(at, at, end);
    location_ = first_pc;
    while (!reader.done() && location_ <= pc) {
      const uint8_t operation = reader.byte();
      if (!step(reader, operation) || reader.bad()) return false;
      if (location_ > pc) break;
    }
    return !reader.bad();
  }

 private:
  RegisterRule* rule(uint64_t number) { return number < kDwarfRegisters ? &row_.rules[number] : &ignored_; }

  void set_offset(uint64_t number, RegisterRule::Kind kind, int64_t factored) {
    RegisterRule* to = rule(number);
    to->kind = kind;
    to->offset = factored * common_.data_alignment;
  }

  void restore(uint64_t number) {
    if (number < kDwarfRegisters) row_.rules[number] = scratch_.initial.rules[number];
  }

  void set_expression(DwarfReader& reader, RegisterRule::Kind kind) {
    RegisterRule* to = rule(reader.unsigned_leb());
    const uint64_t bytes = reader.unsigned_leb();
    to->kind = kind;
    to->expression = reader.at();
    to->expression_bytes = static_cast<uint16_t>(bytes > UINT16_MAX ? 0 : bytes);
    reader.skip(bytes);
  }

  void set_cfa_expression(DwarfReader& reader) {
    const uint64_t bytes = reader.unsigned_leb();
    row_.cfa_expression = reader.at();
    row_.cfa_expression_bytes = static_cast<uint32_t>(bytes);
    reader.skip(bytes);
  }

  void set_cfa(uint64_t number, int64_t offset) {
    row_.cfa_expression = nullptr;
    row_.cfa_register = static_cast<uint32_t>(number);
    row_.cfa_offset = offset;
  }

  bool step(DwarfReader& reader, uint8_t operation) {
    const uint8_t low = operation & 0x3F;
    switch (operation >> 6) {
      case 1: location_ += low * common_.code_alignment; return true;
      case 2: set_offset(low, RegisterRule::kAtOffset, static_cast<int64_t>(reader.unsigned_leb())); return true;
      case 3: restore(low); return true;
      default: return step_extended(reader, low);
    }
  }

  bool step_extended(DwarfReader& reader, uint8_t operation) {
    uint64_t number;
    switch (operation) {
      case 0x00: return true;                                                           // nop
      case 0x01: location_ = reader.pointer(common_.address_encoding, 0); return true;  // set_loc
      case 0x02: location_ += reader.byte() * common_.code_alignment; return true;      // advance_loc1
      case 0x03: location_ += reader.fixed<uint16_t>() * common_.code_alignment; return true;
      case 0x04: location_ += reader.fixed<uint32_t>() * common_.code_alignment; return true;
      case 0x05:  // offset_extended
        number = reader.unsigned_leb();
        set_offset(number, RegisterRule::kAtOffset, static_cast<int64_t>(reader.unsigned_leb()));
        return true;
      case 0x06: restore(reader.unsigned_leb()); return true;  // restore_extended
      case 0x07: rule(reader.unsigned_leb())->kind = RegisterRule::kUndefined; return true;
      case 0x08: rule(reader.unsigned_leb())->kind = RegisterRule::kSame; return true;
      case 0x09: {  // register
        RegisterRule* to = rule(reader.unsigned_leb());
        to->kind = RegisterRule::kRegister;
        to->number = reader.unsigned_leb();
        return true;
      }
      case 0x0A:  // remember_state
        if (remembered_ == CfiScratch::kRememberedStates) return false;
        scratch_.remembered[remembered_++] = row_;
        return true;
      case 0x0B:  // restore_state
        if (remembered_ == 0) return false;
        row_ = scratch_.remembered[--remembered_];
        return true;
      case 0x0C:  // def_cfa
        number = reader.unsigned_leb();
        set_cfa(number, static_cast<int64_t>(reader.unsigned_leb()));
        return true;
      case 0x0D: set_cfa(reader.unsigned_leb(), row_.cfa_offset); return true;  // def_cfa_register
      case 0x0E: row_.cfa_offset = static_cast<int64_t>(reader.unsigned_leb()); return true;
      case 0x0F: set_cfa_expression(reader); return true;
      case 0x10: set_expression(reader, RegisterRule::kAtExpression); return true;
      case 0x11:  // offset_extended_sf
        number = reader.unsigned_leb();
        set_offset(number, RegisterRule::kAtOffset, reader.signed_leb());
        return true;
      case 0x12:  // def_cfa_sf
        number = reader.unsigned_leb();
        set_cfa(number, reader.signed_leb() * common_.data_alignment);
        return true;
      case 0x13: row_.cfa_offset = reader.signed_leb() * common_.data_alignment; return true;
      case 0x14:  // val_offset
        number = reader.unsigned_leb();
        set_offset(number, RegisterRule::kIsOffset, static_cast<int64_t>(reader.unsigned_leb()));
        return true;
      case 0x15:  // val_offset_sf
        number = reader.unsigned_leb();
        set_offset(number, RegisterRule::kIsOffset, reader.signed_leb());
        return true;
      case 0x16: set_expression(reader, RegisterRule::kIsExpression); return true;
      case 0x2E: reader.unsigned_leb(); return true;  // GNU_args_size: of no concern to a walk.
      case 0x2F:                                      // GNU_negative_offset_extended
        number = reader.unsigned_leb();
        set_offset(number, RegisterRule::kAtOffset, -static_cast<int64_t>(reader.unsigned_leb()));
        return true;
      default: return false;
    }
  }

  const CommonEntry& common_;
  CfiScratch& scratch_;
  UnwindRow& row_;
  RegisterRule ignored_{};  // Rules of registers that no walk needs: vector registers and the like.
  uint64_t location_ = 0;
  unsigned remembered_ = 0;
};

}  // namespace

bool begins_function(uintptr_t pc, const ModuleTables& tables) noexcept {
  const uint8_t* entry;
  if (tables.eh_frame_hdr == nullptr || find_entry(pc, tables, entry) != RowResult::kFound) return false;
  CommonEntry common;
  FrameEntry frame;
  return read_frame_entry(entry, tables, common, frame) && frame.first_pc == pc;
}

RowResult find_row(uintptr_t pc, const ModuleTables& tables, CfiScratch& scratch, UnwindRow& row,
                   bool& signal_frame) noexcept {
  const uint8_t* entry;
  if (tables.eh_frame_hdr == nullptr) return RowResult::kNone;
  const RowResult found = find_entry(pc, tables, entry);
  if (found != RowResult::kFound) return found;
  CommonEntry common;
  FrameEntry frame;
  if (!read_frame_entry(entry, tables, common, frame)) return RowResult::kBad;
  if (pc - frame.first_pc >= frame.code_bytes) return RowResult::kNone;  // In a hole between functions.
  memset(static_cast<void*>(&row), 0, sizeof row);
  Interpreter interpreter(common, scratch, row);
  scratch.initial = row;
  if (!interpreter.run(common.program, common.end, 0, 0)) return RowResult::kBad;
  scratch.initial = row;
  if (!interpreter.run(frame.program, frame.end, frame.first_pc, pc)) return RowResult::kBad;
  if (common.return_register != kDwarfReturnAddress) row.rules[kDwarfReturnAddress] = row.rules[common.return_register];
  signal_frame = common.signal_frame;
  return RowResult::kFound;
}

}  // namespace seep
