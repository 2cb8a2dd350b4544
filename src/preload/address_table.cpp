// SPDX-License-Identifier: Apache-2.0
//
// The rare sides of the table of live blocks by address; see address_table.h.
#include "preload/address_table.h"

namespace seep {

AddressTable::Word* AddressTable::make_word(uintptr_t address) noexcept {
  std::atomic<uint64_t>& place = directory_[address >> kLeafBits & (kDirectoryEntries - 1)];
  uint64_t entry = place.load(std::memory_order_acquire);
  if (entry == 0 && address >> kAddressBits == 0 && grows_.load(std::memory_order_relaxed)) {
    void* leaf = memory_.reserve(kLeafBytes);
    if (leaf == nullptr) return nullptr;
    if (!place.compare_exchange_strong(entry, reinterpret_cast<uint64_t>(leaf) | tag_of(address),
                                       std::memory_order_acq_rel)) {
      memory_.count_used(kLeafBytes);
      memory_.give_back(leaf, kLeafBytes);
    }
  }
  return word_of(address);
}

void AddressTable::note(uintptr_t address) noexcept {
  const Word* leaf = leaf_of(entry_of(address));
  const uint64_t page = page_of(address), bit = uint64_t{1} << page % 64;
  const uint64_t before = used_pages(leaf)[page / 64].fetch_or(bit, std::memory_order_acq_rel);
  if ((before & bit) == 0) memory_.count_used(kPageWords * sizeof(Word));
  noted_pages(leaf)[page / 64].fetch_or(bit, std::memory_order_acq_rel);
}

// Who frees there at this moment may leave a word behind that the next block takes without more ado: no more than a
// page that stays a root.
void AddressTable::forget(uintptr_t start, size_t bytes) noexcept {
  const uintptr_t end = start + bytes;
  for (uintptr_t at = start; at < end && at != 0;) {
    const uint64_t entry = entry_of(at);
    if ((entry & kTagMask) != tag_of(at)) {
      at = (at | ((uintptr_t{1} << kLeafBits) - 1)) + 1;
      continue;
    }
    Word* leaf = leaf_of(entry);
    const uint64_t page = page_of(at), bit = uint64_t{1} << page % 64;
    if ((noted_pages(leaf)[page / 64].fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0) {
      for (uint64_t i = 0; i < kPageWords; ++i) {
        uint64_t free = kFree;  // By CAS: a block may come or go meanwhile.
        Word& word = leaf[page * kPageWords + i];
        if (word.load(std::memory_order_relaxed) == kFree) word.compare_exchange_strong(free, 0);
      }
    }
    at = (at | ((uintptr_t{1} << kPageBits) - 1)) + 1;
  }
}

}  // namespace seep
