// SPDX-License-Identifier: Apache-2.0
//
// Which pages are the allocator's heap: those that a recorded block lies in or has lain in. In them only live blocks
// may keep something alive; what else stands there is freed memory. Every other page of the program is a root. Pages,
// not mappings: the kernel makes one mapping of the allocator's and a neighbour of the program's own.
//
// One bit a page, in leaves of 4 GiB that a root points to; a leaf takes 4 KiB of memory for each 128 MiB in use. Where
// a leaf cannot be had its pages stay roots: then a leak may be missed, and none is invented.
//
// A page ceases to be heap when the program maps something there itself (`forget`, from the hooks of the mmap family,
// after the call), and when the allocator gives it back to the kernel, which it does on its own with large blocks
// (`note_freed`). What the C library itself maps there later (stacks, segments of libraries) is told to the scan by
// other means, and goes before.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/private_memory.h"

namespace seep::leak_scan {

class HeapPages {
 public:
  static constexpr unsigned kPageBits = 12;
  static constexpr size_t kLargeBytes = 64 << 10;
  // What is larger is mostly address space that nobody fills. It stays roots, and its bits take no time and no memory.
  static constexpr size_t kMostBytes = size_t{16} << 30;

  constexpr explicit HeapPages(PrivateMemory& memory) : memory_(memory) {}

  // A block has been recorded. Reads one word where that is known already.
  void add(uintptr_t start, size_t bytes) noexcept {
    const uint64_t first = start >> kPageBits, last = (start + (bytes == 0 ? 0 : bytes - 1)) >> kPageBits;
    const Word* word = find_word(first);
    if (__builtin_expect(first == last && word != nullptr && (load(*word) & bit(first)) != 0, true)) return;
    if (bytes <= kMostBytes) add_pages(first, last);
  }

  // The pages of [start, start + bytes), also those that lie only partly in it.
  void forget(uintptr_t start, size_t bytes) noexcept;

  // A block of at least kLargeBytes has been freed, or a part of it: what of it is not mapped any more is forgotten.
  // After the allocator's free has returned; by then another thread may have mapped something there, which stays heap
  // unless its own hook says otherwise. (Clearing first and setting again would get that wrong the other way round.)
  // What was forgotten; nothing where `bytes` is 0.
  struct Gone {
    uintptr_t start;
    size_t bytes;
  };
  Gone note_freed(uintptr_t start, size_t bytes) noexcept;

  [[nodiscard]] bool contains(uintptr_t address) const noexcept {
    const Word* word = find_word(address >> kPageBits);
    return word != nullptr && (load(*word) & bit(address >> kPageBits)) != 0;
  }
  // The same; and `until`, if that was larger, becomes the address up to which the answer holds. It must be >= address.
  [[nodiscard]] bool contains(uintptr_t address, uintptr_t& until) const noexcept;

 private:
  using Word = std::atomic<uint64_t>;
  static constexpr unsigned kLeafBits = 32;     // Of the address: 4 GiB, 128 KiB of bits.
  static constexpr unsigned kAddressBits = 47;  // Of what the kernel gives unless it is asked for more.
  static constexpr uint64_t kLeaves = uint64_t{1} << (kAddressBits - kLeafBits);
  static constexpr uint64_t kLeafPages = uint64_t{1} << (kLeafBits - kPageBits);
  static constexpr size_t kLeafBytes = kLeafPages / 8;
  using Leaf = std::atomic<Word*>;

  static constexpr uint64_t bit(uint64_t page) noexcept { return uint64_t{1} << (page & 63); }
  static uint64_t load(const Word& word) noexcept { return word.load(std::memory_order_relaxed); }

  [[nodiscard]] Word* find_word(uint64_t page) const noexcept {
    const Leaf* root = root_.load(std::memory_order_acquire);
    if (__builtin_expect(root == nullptr || page >= kLeaves * kLeafPages, false)) return nullptr;
    Word* leaf = root[page / kLeafPages].load(std::memory_order_acquire);
    return leaf == nullptr ? nullptr : &leaf[page % kLeafPages / 64];
  }
  [[nodiscard]] Word* make_word(uint64_t page) noexcept;
  void add_pages(uint64_t first, uint64_t last) noexcept;

  PrivateMemory& memory_;
  std::atomic<Leaf*> root_{nullptr};
};

}  // namespace seep::leak_scan
