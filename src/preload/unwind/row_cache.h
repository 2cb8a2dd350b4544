// SPDX-License-Identifier: Apache-2.0
//
// Rows of the unwind tables that have been interpreted, in a form that one look-up and two loads apply: how far the CFA
// is from the stack or frame pointer, and in which slots below it the preserved registers lie. Nearly every row is of
// that form; the others (expressions, signal frames) are interpreted each time.
//
// A row is valid for a pc in one generation of the loaded modules. An entry is two words. A writer claims it (CAS of
// the key to kBusy), writes the row, and publishes the key with release; a reader takes the row only if the key was the
// same before and after. A row is a function of its key, so whoever wrote it, it is right. Entries replace each other:
// a miss costs an interpretation, nothing else. Where many replace each other a larger array takes the place of the
// first, once: a small program touches few pages. Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/private_memory.h"
#include "preload/unwind/cfi.h"

namespace seep {

// A row in one word:  0..2 kind | 3..26 CFA offset / 8 | 27..56 six slots of 5 bits: 0: unchanged, n: at CFA - 8 n
using PackedRow = uint64_t;

enum class PackedKind : unsigned { kNone, kStackPointer, kFramePointer, kOutermost };

// 0 where it does not fit the form. The return address is at CFA - 8 in that form.
[[nodiscard]] PackedRow pack_row(const UnwindRow& row, bool signal_frame) noexcept;

constexpr PackedKind packed_kind(PackedRow row) { return static_cast<PackedKind>(row & 7); }
constexpr uint64_t packed_cfa_offset(PackedRow row) { return (row >> 3 & 0xFFFFFF) * 8; }
constexpr unsigned kSlotBits = 5;
constexpr uint64_t packed_slots(PackedRow row) { return row >> 27; }  // All six, the first lowest.
constexpr uint64_t slot_mask(unsigned preserved_index) { return uint64_t{31} << (kSlotBits * preserved_index); }
constexpr unsigned slot_in(uint64_t slots, unsigned preserved_index) {
  return static_cast<unsigned>(slots >> (kSlotBits * preserved_index)) & 31;
}
constexpr unsigned packed_slot(PackedRow row, unsigned preserved_index) {
  return slot_in(packed_slots(row), preserved_index);
}

class RowCache {
 public:
  // 2^first_log2 entries, 2^most_log2 when these are too few; without memory it never finds anything. Once, before use;
  // others may read meanwhile.
  void start(PrivateMemory& memory, unsigned first_log2, unsigned most_log2) noexcept;

  [[nodiscard]] PackedRow find(uintptr_t pc, uint32_t generation) const noexcept;
  void insert(uintptr_t pc, uint32_t generation, PackedRow row) noexcept;
  // Forgets all; also what a vanished writer (of the parent, in a fork's child) had claimed.
  void clear() noexcept;

  // Two generations so far apart look the same in a key: Recording::forget_loaded_code clears in between.
  static constexpr uint32_t kGenerations = 1u << 17;

 private:
  static constexpr uint64_t kBusy = 1;
  static constexpr unsigned kPcBits = 47;  // Of user addresses; the other 17 hold the generation.

  struct Entry {
    std::atomic<uint64_t> key;
    std::atomic<uint64_t> row;
  };

  static uint64_t make_key(uintptr_t pc, uint32_t generation) noexcept {
    return (pc & ((uint64_t{1} << kPcBits) - 1)) | static_cast<uint64_t>(generation) << kPcBits;
  }
  [[nodiscard]] static uint64_t hash(uintptr_t pc) noexcept { return pc * 0x9E3779B97F4A7C15ull; }

  // Where the entries lie, and how far to shift the hash: they are aligned to 64, and the shift is under 64. 0: none.
  using Packed = uintptr_t;
  static Entry* entries_of(Packed packed) noexcept { return reinterpret_cast<Entry*>(packed & ~uintptr_t{63}); }
  [[nodiscard]] static Packed take(PrivateMemory& memory, unsigned entries_log2) noexcept;
  void grow() noexcept;

  std::atomic<Packed> packed_{0};
  std::atomic<uint32_t> replaced_{0};
  PrivateMemory* memory_ = nullptr;
  unsigned most_log2_ = 0;
};

inline PackedRow RowCache::find(uintptr_t pc, uint32_t generation) const noexcept {
  const Packed packed = packed_.load(std::memory_order_acquire);
  if (packed == 0) return 0;
  const Entry& entry = entries_of(packed)[hash(pc) >> (packed & 63)];
  const uint64_t key = make_key(pc, generation);
  if (entry.key.load(std::memory_order_acquire) != key) return 0;
  const PackedRow row = entry.row.load(std::memory_order_acquire);
  return entry.key.load(std::memory_order_relaxed) == key ? row : 0;
}

}  // namespace seep
