// SPDX-License-Identifier: Apache-2.0
//
// What stands before an object; see heuristics.h.
#include "preload/leak_scan/heuristics.h"

#include <algorithm>

namespace seep::leak_scan {
namespace {

using Word = uint64_t __attribute__((may_alias));
constexpr uint64_t kWordBytes = sizeof(Word);
constexpr uint64_t kPageBytes = 4096;  // No vtable lies in the first page.

__attribute__((no_sanitize("address"))) uint64_t read(uint64_t address) noexcept {
  return *reinterpret_cast<const Word*>(address);
}

bool aligned(uint64_t address) noexcept { return address % kWordBytes == 0; }

bool is_std_string(uint64_t word, const Block& block) noexcept {
  constexpr uint64_t kHeaderBytes = 3 * kWordBytes;
  if (word != block.start() + kHeaderBytes || block.size_bytes() <= kHeaderBytes) return false;
  const uint64_t capacity = read(block.start() + kWordBytes);
  return capacity == block.size_bytes() - kHeaderBytes - 1 && read(block.start()) <= capacity;
}

bool is_length64(uint64_t word, const Block& block) noexcept {
  if (word != block.start() + kWordBytes) return false;
  const uint64_t length = read(block.start());
  return length > 0 && length == block.size_bytes() - kWordBytes;
}

bool is_new_array(uint64_t word, const Block& block) noexcept {
  if (word != block.start() + kWordBytes) return false;
  const uint64_t elements = read(block.start());
  return elements > 0 && (block.size_bytes() - kWordBytes) % elements == 0;
}

// A table in a mapped file of which the first two entries that are not null are code.
bool is_vtable(uint64_t address, const MappedFiles& files) noexcept {
  constexpr uint64_t kMostEntries = 21;
  if (!aligned(address) || address < kPageBytes) return false;
  const uint64_t readable_end = files.readable_end(files.context, address);
  unsigned functions = 0;
  const uint64_t end = std::min<uint64_t>(address + kMostEntries * kWordBytes, readable_end);
  for (; address + kWordBytes <= end; address += kWordBytes) {
    const uint64_t function = read(address);
    if (function == 0) continue;
    if (!files.is_code(files.context, function)) return false;
    if (++functions == 2) return true;
  }
  return false;
}

bool is_base_class(uint64_t word, const Block& block, const MappedFiles& files) noexcept {
  if (!aligned(word) || block.end() - word < kWordBytes) return false;
  return is_vtable(read(word), files) && is_vtable(read(block.start()), files);
}

}  // namespace

Heuristic start_by_heuristic(uint64_t word, const Block& block, uint8_t enabled, const MappedFiles& files) noexcept {
  if (!aligned(block.start()) || block.size_bytes() < kWordBytes) return kNoHeuristic;
  if ((enabled & kStdString) != 0 && is_std_string(word, block)) return kStdString;
  if ((enabled & kLength64) != 0 && is_length64(word, block)) return kLength64;
  if ((enabled & kNewArray) != 0 && is_new_array(word, block)) return kNewArray;
  const bool files_known = files.readable_end != nullptr && files.is_code != nullptr;
  if ((enabled & kMultipleInheritance) != 0 && files_known && is_base_class(word, block, files)) {
    return kMultipleInheritance;
  }
  return kNoHeuristic;
}

bool is_empty_array(const Block& block, bool is_start_of_next) noexcept {
  const bool size_of_a_count = block.size_bytes() == 8 || (block.size_bytes() == 16 && !is_start_of_next);
  return size_of_a_count && aligned(block.start()) && read(block.end() - kWordBytes) == 0;
}

}  // namespace seep::leak_scan
