// SPDX-License-Identifier: Apache-2.0
//
// Which recorded blocks are live: address -> size, trace, birth, sample interval. Private memory; a fork's child has a
// copy of it.
//
// In exact mode small blocks, which are most, stand in a table by address (address_table.h) that the fast path reads
// and writes by itself; all others, and those that find no place there, stand here:
//
// A list of hash tables, each twice as large as the one before; a table is added when an address finds no place, and no
// entry ever moves. A table is an array of buckets of eight entries, the keys in one cache line:
//
//     levels_:  [0] 2^n buckets   [1] 2^(n+1) buckets   [2] ...          bucket: | 8 keys | 8 x 16 bytes of values |
//                                   ^ an address has two buckets in each level, and may stand in any slot of them
//
// The allocator serializes what happens to one address: insert (after malloc has returned it) and remove (before free
// is called) never run at once for the same one, unless the program frees twice. So only slots are contended. A slot is
// claimed by CAS (0 -> kReserved), filled, and published by a release store of the address; remove takes the address
// out by CAS. As every slot of both buckets is always looked at, there are no tombstones.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstdint>

#include "preload/address_table.h"
#include "preload/live_entry.h"
#include "preload/private_memory.h"

namespace seep {

class LiveTable {
 public:
  enum class Insert { kDone, kReplaced, kNoRoom };

  constexpr LiveTable(PrivateMemory& memory, unsigned first_buckets_log2)
      : memory_(memory), first_buckets_log2_(first_buckets_log2), by_address_(memory) {}

  // Small blocks by address from now on. Before the first insert.
  void use_addresses() noexcept { uses_addresses_ = true; }
  // The host's address space is limited: no more of it is taken than must be.
  void be_frugal() noexcept { by_address_.stop_growing(); }
  [[nodiscard]] AddressTable& by_address() noexcept { return by_address_; }

  void set_first_buckets_log2(unsigned value) noexcept { first_buckets_log2_ = value; }  // Before the first insert.

  // Takes the memory of the first table now, while it can be had.
  void make_first_table() noexcept {
    if (level_count_.load(std::memory_order_acquire) == 0) (void)add_level(0);
  }

  // kReplaced: the address was still here, its free was missed; `old` is what stood there.
  [[nodiscard]] Insert insert(uintptr_t address, const LiveEntry& entry, LiveEntry& old) noexcept;
  [[nodiscard]] bool remove(uintptr_t address, LiveEntry& entry) noexcept;
  [[nodiscard]] bool contains(uintptr_t address) const noexcept;
  // As it stands now, of a block that is not freed meanwhile. False: it is not here.
  [[nodiscard]] bool look_up(uintptr_t address, LiveEntry& entry) const noexcept;
  // Of the block that `address` points at or into. False: there is none. Takes as long as `each` for the second.
  bool set_ignored(uintptr_t address) noexcept;

  // Calls visit(address, entry) for each entry. Those that come or go meanwhile may be seen or not.
  template <typename Visit>
  void each(Visit visit) const noexcept;

 private:
  static constexpr unsigned kSlots = 8;
  static constexpr unsigned kMaxLevels = 32;
  static constexpr uintptr_t kReserved = 1;

  struct Value {
    std::atomic<uint64_t> size_and_birth;   // size: 43 bits; ignored: 1; interval shift: 4; low 16 bits of birth.
    std::atomic<uint64_t> trace_and_birth;  // trace: 32 bits; high 32 bits of birth, in units of 1024 ns.
  };
  struct Bucket {
    std::atomic<uintptr_t> key[kSlots];
    Value value[kSlots];
  };
  struct Slot {
    Bucket* bucket = nullptr;
    unsigned index = 0;
  };

  [[nodiscard]] uint64_t bucket_count(unsigned level) const noexcept {
    return uint64_t{1} << (first_buckets_log2_ + level);
  }
  [[nodiscard]] Bucket& bucket(unsigned level, uintptr_t address, unsigned choice) const noexcept;
  [[nodiscard]] Slot find(uintptr_t address) const noexcept;
  [[nodiscard]] bool insert_by_address(uintptr_t address, const LiveEntry& entry) noexcept;
  [[nodiscard]] uintptr_t find_block_around(uintptr_t address) const noexcept;
  [[nodiscard]] Slot claim(uintptr_t address) noexcept;
  [[nodiscard]] Slot claim_in_level(unsigned level, uintptr_t address) noexcept;
  [[nodiscard]] bool add_level(unsigned seen) noexcept;
  static void write(Value& value, const LiveEntry& entry) noexcept;
  static LiveEntry read(const Value& value) noexcept;

  PrivateMemory& memory_;
  unsigned first_buckets_log2_;
  bool uses_addresses_ = false;
  AddressTable by_address_;
  std::atomic<unsigned> level_count_{0};
  std::atomic<Bucket*> levels_[kMaxLevels]{};
};

template <typename Visit>
void LiveTable::each(Visit visit) const noexcept {
  by_address_.each(visit);
  const unsigned levels = level_count_.load(std::memory_order_acquire);
  for (unsigned level = 0; level < levels; ++level) {
    Bucket* buckets = levels_[level].load(std::memory_order_acquire);
    for (uint64_t i = 0; i < bucket_count(level); ++i) {
      for (unsigned slot = 0; slot < kSlots; ++slot) {
        const uintptr_t address = buckets[i].key[slot].load(std::memory_order_acquire);
        if (address > kReserved) visit(address, read(buckets[i].value[slot]));
      }
    }
  }
}

}  // namespace seep
