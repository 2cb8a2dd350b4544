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

RowCache::Packed RowCache::take(PrivateMemory& memory, unsigned entries_log2) noexcept {
  void* entries = memory.take(sizeof(Entry) << entries_log2);
  return entries == nullptr ? 0 : reinterpret_cast<uintptr_t>(entries) | (64 - entries_log2);
}

void RowCache::start(PrivateMemory& memory, unsigned first_log2, unsigned most_log2) noexcept {
  memory_ = &memory;
  most_log2_ = most_log2;
  packed_.store(take(memory, first_log2), std::memory_order_release);
}

// The old array is not given back: somebody may be reading it.
void RowCache::grow() noexcept {
  Packed packed = packed_.load(std::memory_order_acquire);
  const unsigned log2 = 64 - static_cast<unsigned>(packed & 63);
  if (log2 >= most_log2_) return;
  const Packed larger = take(*memory_, most_log2_);
  if (larger == 0 || packed_.compare_exchange_strong(packed, larger, std::memory_order_acq_rel)) return;
  memory_->give_back(entries_of(larger), sizeof(Entry) << most_log2_);
}

void RowCache::insert(uintptr_t pc, uint32_t generation, PackedRow row) noexcept {
  const Packed packed = packed_.load(std::memory_order_acquire);
  if (packed == 0) return;
  Entry& entry = entries_of(packed)[hash(pc) >> (packed & 63)];
  uint64_t old = entry.key.load(std::memory_order_relaxed);
  if (old == kBusy || !entry.key.compare_exchange_strong(old, kBusy, std::memory_order_acq_rel)) return;
  entry.row.store(row, std::memory_order_release);
  entry.key.store(make_key(pc, generation), std::memory_order_release);
  constexpr uint32_t kTooOften = 512;
  if (old != 0 && replaced_.fetch_add(1, std::memory_order_relaxed) + 1 == kTooOften) grow();
}

void RowCache::clear() noexcept {
  const Packed packed = packed_.load(std::memory_order_acquire);
  if (packed == 0) return;
  const uint64_t count = uint64_t{1} << (64 - (packed & 63));
  for (uint64_t i = 0; i < count; ++i) entries_of(packed)[i].key.store(0, std::memory_order_relaxed);
}

}  // namespace seep
