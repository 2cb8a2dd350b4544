// SPDX-License-Identifier: Apache-2.0
//
// The cache of unwind rows; see row_cache.h.
#include "preload/unwind/row_cache.h"

namespace seep {

PackedRow pack_row(const UnwindRow& row, bool signal_frame) noexcept {
  const RegisterRule& pc = row.rules[kDwarfReturnAddress];
  if (pc.kind == RegisterRule::kUndefined) return static_cast<PackedRow>(PackedKind::kOutermost);
  if (signal_frame || row.cfa_expression != nullptr || pc.kind != RegisterRule::kAtOffset || pc.offset != -8) return 0;
  PackedKind kind;
  if (row.cfa_register == kDwarfStackPointer) kind = PackedKind::kStackPointer;
  else if (row.cfa_register == kDwarfFramePointer) kind = PackedKind::kFramePointer;
  else return 0;
  if (row.cfa_offset < 0 || row.cfa_offset % 8 != 0 || row.cfa_offset / 8 > 0xFFFFFF) return 0;
  if (row.rules[kDwarfStackPointer].kind != RegisterRule::kSame) return 0;
  PackedRow packed = static_cast<PackedRow>(kind) | static_cast<uint64_t>(row.cfa_offset / 8) << 3;
  for (unsigned i = 0; i < kPreservedRegisterCount; ++i) {
    const RegisterRule& rule = row.rules[kPreservedRegisters[i]];
    if (rule.kind == RegisterRule::kSame) continue;
    if (rule.kind != RegisterRule::kAtOffset || rule.offset > -8 || rule.offset < -31 * 8 || rule.offset % 8 != 0) {
      return 0;
    }
    packed |= static_cast<uint64_t>(-rule.offset / 8) << (27 + 5 * i);
  }
  return packed;
}

void RowCache::start(PrivateMemory& memory, unsigned entries_log2) noexcept {
  shift_ = 64 - entries_log2;
  entries_.store(static_cast<Entry*>(memory.take(sizeof(Entry) << entries_log2)), std::memory_order_release);
}

void RowCache::insert(uintptr_t pc, uint32_t generation, PackedRow row) noexcept {
  Entry* entries = entries_.load(std::memory_order_acquire);
  if (entries == nullptr) return;
  Entry& entry = entries[hash(pc) >> shift_];
  uint64_t old = entry.key.load(std::memory_order_relaxed);
  if (old == kBusy || !entry.key.compare_exchange_strong(old, kBusy, std::memory_order_acq_rel)) return;
  entry.row.store(row, std::memory_order_release);
  entry.key.store(make_key(pc, generation), std::memory_order_release);
}

void RowCache::clear() noexcept {
  Entry* entries = entries_.load(std::memory_order_acquire);
  if (entries == nullptr) return;
  for (uint64_t i = 0; i < uint64_t{1} << (64 - shift_); ++i) entries[i].key.store(0, std::memory_order_relaxed);
}

}  // namespace seep
