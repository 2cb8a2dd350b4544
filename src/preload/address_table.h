// SPDX-License-Identifier: Apache-2.0
//
// Live blocks by their address: one word for each 32 bytes of heap, which holds all that is remembered of a block that
// begins there. Allocators lay blocks no closer than that, mostly; who finds his word taken by a neighbour goes
// elsewhere (live_table.h). So does a large block among large ones: the table would take a quarter of the heap there.
//
//     directory_   by bits 24..35 of the address:  | leaf of 16 MiB of heap, bits 36..46 | ...
//                                                     |
//     leaf (4 MiB, touched where there are blocks)    word   word   word ...             one for each 32 bytes
//     word         0, 1: free, 1 only in a heap page that is noted (see there); else
//                  0..10 size | 11..12 place within the 32 bytes | 13..36 trace / 64 | 37..63 birth / 2^21 ns
//
// The allocator serializes what happens to one address, so a word has one writer at a time and a store is enough: no
// locked instruction, no search, no tombstone, no rehashing. Of two threads that free one block at once, which is an
// error of the program, both may find it.
//
// A leaf is taken whole where memory allows that, and made when its first block comes. Two parts of the heap that want
// the same place in the directory share it: the second has no leaf.
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/live_entry.h"
#include "preload/private_memory.h"

namespace seep {

class AddressTable {
 public:
  using Word = std::atomic<uint64_t>;

  static constexpr unsigned kAddressBits = 47;  // Of a program's addresses.

  static constexpr unsigned kSizeBits = 11;
  static constexpr uint64_t kLarge = (1 << kSizeBits) - 1;  // In place of the size.
  static constexpr uint64_t kMostSmallBytes = kLarge - 1;
  static constexpr unsigned kBirthUnitBits = 21;  // Births are kept to 2 ms; the clock that tells them ticks each 4.

  constexpr explicit AddressTable(PrivateMemory& memory) : memory_(memory) {}

  [[nodiscard]] static constexpr bool fits(uintptr_t address, const LiveEntry& entry) noexcept {
    return address >> kAddressBits == 0 && !entry.ignored && entry.interval_shift == 0 &&
           entry.trace % kTraceUnits == 0 && fits(entry.size_bytes, entry.trace, entry.birth_ns);
  }
  // The same of a block that is known to be neither ignored nor a sample.
  [[nodiscard]] static constexpr bool fits(uint64_t size_bytes, uint32_t trace, uint64_t birth_ns) noexcept {
    return size_bytes >> (kSizeBits + kBirthBits) == 0 && trace / kTraceUnits < (1u << kTraceBits) &&
           fits_birth(birth_ns);
  }
  // As it is kept. What is counted at a birth and at the death must be the same.
  [[nodiscard]] static constexpr uint64_t rounded_birth(uint64_t birth_ns) noexcept {
    return birth_ns >> kBirthUnitBits << kBirthUnitBits;
  }
  [[nodiscard]] static constexpr bool fits_birth(uint64_t birth_ns) noexcept {
    return birth_ns >> kBirthUnitBits < uint64_t{1} << kBirthBits;
  }
  [[nodiscard]] static constexpr uint64_t pack(uintptr_t address, uint64_t size_bytes, uint32_t trace,
                                               uint64_t birth_ns) noexcept {
    return pack(address, size_bytes, trace_bits(trace), birth_bits(birth_ns));
  }
  // The same of parts that stand ready.
  [[nodiscard]] static constexpr uint64_t pack(uintptr_t address, uint64_t size_bytes, uint64_t trace_bits,
                                               uint64_t birth_bits) noexcept {
    return size_bytes | place_of(address) << kPlaceAt | trace_bits | birth_bits;
  }
  [[nodiscard]] static constexpr uint64_t trace_bits(uint32_t trace) noexcept {
    return uint64_t{trace / kTraceUnits} << kTraceAt;
  }
  [[nodiscard]] static constexpr uint64_t birth_bits(uint64_t birth_ns) noexcept {
    return birth_ns >> kBirthUnitBits << kBirthAt;
  }
  // What stands for the size; kLarge: see `size_bytes_at`.
  [[nodiscard]] static constexpr uint64_t size_of(uint64_t word) noexcept { return word & kLarge; }
  [[nodiscard]] static constexpr uint32_t trace_of(uint64_t word) noexcept {
    return static_cast<uint32_t>(word >> kTraceAt & ((1u << kTraceBits) - 1)) * kTraceUnits;
  }
  [[nodiscard]] static constexpr uint64_t birth_ns_of(uint64_t word) noexcept {
    return word >> kBirthAt << kBirthUnitBits;
  }
  // The size of the block whose word, as read before, stands at `at`.
  [[nodiscard]] static uint64_t size_bytes_at(const Word* at, uint64_t word) noexcept {
    if (__builtin_expect(size_of(word) != kLarge, true)) return size_of(word);
    const uint64_t size = at[1].load(std::memory_order_relaxed);
    return size_of(size) | size >> kBirthAt << kSizeBits;
  }
  [[nodiscard]] static LiveEntry unpack(const Word* at, uint64_t word) noexcept {
    return {size_bytes_at(at, word), birth_ns_of(word), trace_of(word), 0, false};
  }
  // Puts a block where `is_noted`, or takes one away that is there. Of a large one the size comes last and goes first.
  static void put(Word* at, uintptr_t address, const LiveEntry& entry) noexcept {
    const bool large = entry.size_bytes > kMostSmallBytes;
    at->store(pack(address, large ? kLarge : entry.size_bytes, entry.trace, entry.birth_ns), std::memory_order_release);
    if (!large) return;
    const uint64_t size = (entry.size_bytes & kLarge) | entry.size_bytes >> kSizeBits << kBirthAt;
    at[1].store(size, std::memory_order_release);
  }
  static void take(Word* at, uint64_t word) noexcept {
    if (__builtin_expect(size_of(word) == kLarge, false)) at[1].store(kFree, std::memory_order_release);
    at->store(kFree, std::memory_order_release);
  }
  static constexpr uint64_t kFree = 1;
  // Whether a word is taken by the block at `address`.
  [[nodiscard]] static constexpr bool is_of(uint64_t word, uintptr_t address) noexcept {
    return trace_of(word) != 0 && (word >> kPlaceAt & 3) == place_of(address);
  }

  // The leaf for a block at `address`, below 2^48; false where there is none.
  [[nodiscard]] __attribute__((always_inline)) bool find_leaf(uintptr_t address, Word*& leaf) const noexcept {
    const uint64_t entry =
        entry_of(address) ^ tag_of(address);  // Nothing of the tag is left where it is the right one.
    leaf = reinterpret_cast<Word*>(entry);
    return (entry & kTagMask) == 0;
  }
  [[nodiscard]] static Word& word_in(Word* leaf, uintptr_t address) noexcept {
    return leaf[address >> kGranuleBits & (kLeafWords - 1)];
  }
  [[nodiscard]] Word* word_of(uintptr_t address) const noexcept {
    Word* leaf;
    return address >> kAddressBits == 0 && find_leaf(address, leaf) ? &word_in(leaf, address) : nullptr;
  }
  // The word of a block that is here; null if it is not.
  [[nodiscard]] Word* find(uintptr_t address) const noexcept {
    Word* word = word_of(address);
    return word != nullptr && is_of(word->load(std::memory_order_acquire), address) ? word : nullptr;
  }
  // The same as word_of, with a leaf if one can be had.
  [[nodiscard]] Word* make_word(uintptr_t address) noexcept;
  [[nodiscard]] static constexpr bool is_in_one_page(uintptr_t address, size_t size_bytes) noexcept {
    constexpr uintptr_t kPageBytes = uintptr_t{1} << kPageBits;
    return (address & (kPageBytes - 1)) + size_bytes <= kPageBytes;
  }
  // Whether the table has memory in use around that word anyway, so that a large block there costs none.
  [[nodiscard]] bool is_used_around(uintptr_t address) const noexcept {
    const Word* leaf = leaf_of(entry_of(address));
    constexpr uint64_t kPagesOfTablePage = 4096 / sizeof(Word) / kPageWords;
    const uint64_t page = page_of(address) & ~(kPagesOfTablePage - 1);
    return (used_pages(leaf)[page / 64].load(std::memory_order_relaxed) >> page % 64 &
            ((1u << kPagesOfTablePage) - 1)) != 0;
  }
  // A heap page is noted when its first word is taken, by who then does what there is to do with pages. For `each`, and
  // for what seep says that it uses.
  void note(uintptr_t address) noexcept;
  [[nodiscard]] bool is_noted(uintptr_t address) const noexcept {  // Of one that has a leaf.
    const Word* leaf = leaf_of(entry_of(address));
    return (noted_pages(leaf)[page_of(address) / 64].load(std::memory_order_relaxed) >> page_of(address) % 64 & 1) != 0;
  }
  [[nodiscard]] static constexpr bool is_last_of_leaf(uintptr_t address) noexcept {
    return (address >> kGranuleBits & (kLeafWords - 1)) == kLeafWords - 1;
  }
  // Whether a free word can be taken: its page is noted.
  [[nodiscard]] static bool is_noted(uint64_t word, const Word* leaf, uintptr_t address) noexcept {
    return __builtin_expect(word == kFree, true) ||
           (word == 0 &&
            (noted_pages(leaf)[page_of(address) / 64].load(std::memory_order_relaxed) >> page_of(address) % 64 & 1) !=
                0);
  }
  // The pages that lie in [start, start + bytes), if only partly, are not noted any more: what is free in them is 0.
  void forget(uintptr_t start, size_t bytes) noexcept;
  void stop_growing() noexcept { grows_.store(false, std::memory_order_relaxed); }

  // Calls visit(address, entry) for each block. Those that come or go meanwhile may be seen or not.
  template <typename Visit>
  void each(Visit visit) const noexcept;

 private:
  static constexpr unsigned kGranuleBits = 5, kLeafBits = 24, kDirectoryBits = 12, kTagAt = kLeafBits + kDirectoryBits;
  static constexpr uint64_t kDirectoryEntries = uint64_t{1} << kDirectoryBits;
  static constexpr uint64_t kTagMask = 4095;  // A leaf begins at a page.
  static constexpr uint64_t kLeafWords = uint64_t{1} << (kLeafBits - kGranuleBits);
  static constexpr unsigned kPageBits = 12;  // Of heap.
  static constexpr uint64_t kPageWords = uint64_t{1} << (kPageBits - kGranuleBits);
  static constexpr uint64_t kLeafPages = kLeafWords / kPageWords;
  static constexpr size_t kWordsBytes = kLeafWords * sizeof(Word);
  // Behind the words two bits for each heap page: noted; and noted at any time.
  static constexpr size_t kLeafBytes = kWordsBytes + 4096;
  static_assert(2 * kLeafPages / 8 <= 4096);

  static constexpr unsigned kPlaceAt = kSizeBits, kTraceAt = kPlaceAt + 2, kTraceBits = 24;
  static constexpr unsigned kBirthAt = kTraceAt + kTraceBits, kBirthBits = 64 - kBirthAt;
  static constexpr uint32_t kTraceUnits = 4;  // Traces are aligned to 64, their Refs count units of 16.
  static_assert(kAddressBits - kTagAt < 12, "the tag fits below a leaf's address");

  static constexpr uint64_t place_of(uintptr_t address) noexcept { return address >> 3 & 3; }
  static constexpr uint64_t page_of(uintptr_t address) noexcept { return address >> kPageBits & (kLeafPages - 1); }
  // Of a part of the address space; never 0. Of an address that is none of a program's, more than kTagMask.
  static constexpr uint64_t tag_of(uintptr_t address) noexcept { return (address >> kTagAt) + 1; }
  [[nodiscard]] uint64_t entry_of(uintptr_t address) const noexcept {
    return directory_[address >> kLeafBits & (kDirectoryEntries - 1)].load(std::memory_order_acquire);
  }
  static Word* leaf_of(uint64_t entry) noexcept { return reinterpret_cast<Word*>(entry & ~kTagMask); }
  static Word* noted_pages(const Word* leaf) noexcept { return const_cast<Word*>(leaf) + kLeafWords; }
  static Word* used_pages(const Word* leaf) noexcept { return noted_pages(leaf) + kLeafPages / 64; }

  PrivateMemory& memory_;
  std::atomic<bool> grows_{true};
  std::atomic<uint64_t> directory_[kDirectoryEntries]{};
};

template <typename Visit>
void AddressTable::each(Visit visit) const noexcept {
  for (uint64_t index = 0; index < kDirectoryEntries; ++index) {
    const uint64_t entry = directory_[index].load(std::memory_order_acquire);
    if (entry == 0) continue;
    const uintptr_t start = ((entry & kTagMask) - 1) << kTagAt | index << kLeafBits;
    const Word* words = leaf_of(entry);
    for (uint64_t page = 0; page < kLeafPages; ++page) {
      if ((used_pages(words)[page / 64].load(std::memory_order_acquire) >> page % 64 & 1) == 0) continue;
      for (uint64_t i = page * kPageWords; i < (page + 1) * kPageWords; ++i) {
        const uint64_t word = words[i].load(std::memory_order_acquire);
        if (trace_of(word) == 0) continue;
        visit(start + (i << kGranuleBits) + (word >> kPlaceAt & 3) * 8, unpack(words + i, word));
      }
    }
  }
}

}  // namespace seep
