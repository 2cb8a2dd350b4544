// SPDX-License-Identifier: Apache-2.0
//
// The set of heap pages; see heap_pages.h.
#include "preload/leak_scan/heap_pages.h"

#include <algorithm>

#include "record/system.h"

namespace seep::leak_scan {
namespace {

// The bits of one word that stand for pages from `first` to `last`, both of them in or around that word.
uint64_t bits_between(uint64_t word_first, uint64_t first, uint64_t last) {
  const uint64_t low = std::max(first, word_first) - word_first;
  const uint64_t high = std::min(last, word_first + 63) - word_first;
  return (~uint64_t{0} >> (63 - (high - low))) << low;
}

// Calls visit(a page of the word, the bits) for each word of the bitmap that pages from `first` to `last` stand in.
template <typename Visit>
void each_word(uint64_t first, uint64_t last, Visit visit) {
  for (uint64_t word = first & ~uint64_t{63}; word <= last; word += 64) {
    if (!visit(word, bits_between(word, first, last))) return;
  }
}

template <typename T>
T* find_or_make(std::atomic<T*>& link, size_t bytes, PrivateMemory& memory) {
  T* there = link.load(std::memory_order_acquire);
  if (there != nullptr) return there;
  T* made = static_cast<T*>(memory.take(bytes));
  if (made == nullptr) return nullptr;
  if (link.compare_exchange_strong(there, made, std::memory_order_acq_rel)) return made;
  memory.give_back(made, bytes);
  return there;
}

bool is_mapped(uint64_t page) {
  unsigned char resident;
  return system_call(SYS_mincore, static_cast<long>(page << HeapPages::kPageBits), 1, sys::as_long(&resident)) == 0;
}

}  // namespace

HeapPages::Word* HeapPages::make_word(uint64_t page) noexcept {
  if (page >= kLeaves * kLeafPages) return nullptr;
  Leaf* root = find_or_make(root_, kLeaves * sizeof(Leaf), memory_);
  if (root == nullptr) return nullptr;
  Word* leaf = find_or_make(root[page / kLeafPages], kLeafBytes, memory_);
  return leaf == nullptr ? nullptr : &leaf[page % kLeafPages / 64];
}

void HeapPages::add_pages(uint64_t first, uint64_t last) noexcept {
  each_word(first, last, [this](uint64_t page, uint64_t bits) {
    Word* word = make_word(page);
    if (word != nullptr && (load(*word) & bits) != bits) word->fetch_or(bits, std::memory_order_relaxed);
    return word != nullptr;
  });
}

void HeapPages::forget(uintptr_t start, size_t bytes) noexcept {
  if (bytes == 0 || start + bytes < start) return;
  const uint64_t most = kLeaves * kLeafPages - 1;
  uint64_t page = start >> kPageBits;
  const uint64_t last = std::min<uint64_t>((start + bytes - 1) >> kPageBits, most);
  while (page <= last) {
    const uint64_t leaf_last = page | (kLeafPages - 1);
    if (find_word(page) != nullptr) {  // Else the whole leaf is not there.
      each_word(page, std::min(leaf_last, last), [this](uint64_t at, uint64_t bits) {
        Word& word = *find_word(at);
        if ((load(word) & bits) != 0) word.fetch_and(~bits, std::memory_order_relaxed);
        return true;
      });
    }
    page = leaf_last + 1;
  }
}

HeapPages::Gone HeapPages::note_freed(uintptr_t start, size_t bytes) noexcept {
  if (bytes < kLargeBytes) return {};
  // Allocators give back one piece, from the block's start or from somewhere within it, up to its end.
  uint64_t first = start >> kPageBits;
  const uint64_t last = (start + bytes - 1) >> kPageBits;
  if (is_mapped(last)) return {};
  uint64_t gone = last;
  while (first < gone) {
    const uint64_t middle = first + (gone - first) / 2;
    if (is_mapped(middle)) first = middle + 1;
    else gone = middle;
  }
  const Gone range{gone << kPageBits, (last - gone + 1) << kPageBits};
  forget(range.start, range.bytes);
  return range;
}

bool HeapPages::contains(uintptr_t address, uintptr_t& until) const noexcept {
  const bool inside = contains(address);
  uint64_t page = (address >> kPageBits) + 1;
  for (const uint64_t end = (until - 1) >> kPageBits; page <= end;) {
    const Word* word = find_word(page);
    if (word == nullptr) {
      if (inside) break;
      page = (page | (kLeafPages - 1)) + 1;
      continue;
    }
    const uint64_t ends_here = (inside ? ~load(*word) : load(*word)) & (~uint64_t{0} << (page & 63));
    if (ends_here != 0) {
      page = (page & ~uint64_t{63}) + static_cast<uint64_t>(__builtin_ctzll(ends_here));
      break;
    }
    page = (page | 63) + 1;
  }
  until = std::min<uint64_t>(until, page << kPageBits);
  return inside;
}

}  // namespace seep::leak_scan
