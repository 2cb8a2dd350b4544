// SPDX-License-Identifier: Apache-2.0
//
// What a copy of the process does not get; see fork_memory.h.
#include "preload/leak_scan/fork_memory.h"

#include <algorithm>

namespace seep::leak_scan {

constinit ForkMemory fork_memory;

// Empty where there is nothing, or nothing that the kernel would have accepted.
ForkMemory::Pages ForkMemory::pages_of(uintptr_t start, size_t bytes) noexcept {
  if (bytes == 0 || start + bytes < start) return {0, 0};
  return {start >> kPageBits, ((start + bytes - 1) >> kPageBits) + 1};
}

// Makes an entry of the same kind longer that overlaps what is wanted, or ends where that begins.
bool ForkMemory::note_in_known(const Entry& wanted) noexcept {
  for (unsigned i = 0, used = used_.load(std::memory_order_acquire); i < used; ++i) {
    uint64_t word = entries_[i].load(std::memory_order_acquire);
    for (;;) {
      const Entry known = unpack(word);
      if (known.end == 0 || known.kind != wanted.kind || known.end < wanted.first || wanted.end < known.first) break;
      const Entry both{std::min(known.first, wanted.first), std::max(known.end, wanted.end), wanted.kind};
      if (both.end - both.first > kMostPagesOfEntry) break;
      if (entries_[i].compare_exchange_weak(word, pack(both), std::memory_order_acq_rel)) return true;
    }
  }
  return false;
}

bool ForkMemory::note_in_free(const Entry& wanted) noexcept {
  for (unsigned i = 0; i < kEntries; ++i) {
    uint64_t free = 0;
    if (!entries_[i].compare_exchange_strong(free, pack(wanted), std::memory_order_acq_rel)) continue;
    unsigned used = used_.load(std::memory_order_relaxed);
    while (used <= i && !used_.compare_exchange_weak(used, i + 1, std::memory_order_acq_rel)) {
    }
    return true;
  }
  return false;
}

void ForkMemory::note(Kinds kinds, uintptr_t start, size_t bytes) noexcept {
  const Pages pages = pages_of(start, bytes);
  if (pages.end > kMostPages) return full_.store(true, std::memory_order_release);
  for (const Kind kind : {kNotCopied, kWiped}) {
    if ((kinds >> kind & 1) == 0) continue;
    for (uint64_t first = pages.first; first < pages.end; first += kMostPagesOfEntry) {
      const Entry wanted{first, std::min(pages.end, first + kMostPagesOfEntry), kind};
      if (!note_in_known(wanted) && !note_in_free(wanted)) full_.store(true, std::memory_order_release);
    }
  }
}

// Takes the pages out of one entry, of which two may be left over. True: it had some of them.
bool ForkMemory::cut_out(std::atomic<uint64_t>& place, Kinds kinds, const Pages& pages) noexcept {
  uint64_t word = place.load(std::memory_order_acquire);
  for (;;) {
    const Entry entry = unpack(word);
    if (entry.end <= pages.first || pages.end <= entry.first || (kinds >> entry.kind & 1) == 0) return false;
    const Entry before{entry.first, pages.first, entry.kind}, behind{pages.end, entry.end, entry.kind};
    const bool some_before = before.first < before.end, some_behind = behind.first < behind.end;
    // Noted in an entry of its own before it leaves this one. Without room for that it stays as it is.
    if (some_before && some_behind && !note_in_free(behind)) return true;
    const uint64_t rest = some_before ? pack(before) : some_behind ? pack(behind) : 0;
    if (place.compare_exchange_strong(word, rest, std::memory_order_acq_rel)) return true;
  }
}

ForkMemory::Kinds ForkMemory::forget(Kinds kinds, uintptr_t start, size_t bytes) noexcept {
  const unsigned used = used_.load(std::memory_order_acquire);
  if (__builtin_expect(used == 0, true)) return 0;
  const Pages pages = pages_of(start, bytes);
  Kinds found = 0;
  for (unsigned i = 0; i < used; ++i) {
    const Kind kind = unpack(entries_[i].load(std::memory_order_acquire)).kind;
    if (cut_out(entries_[i], kinds, pages)) found = static_cast<Kinds>(found | 1u << kind);
  }
  return found;
}

ForkMemory::Kinds ForkMemory::kinds_in(uintptr_t start, size_t bytes) const noexcept {
  const Pages pages = pages_of(start, bytes);
  Kinds found = 0;
  for (unsigned i = 0, used = used_.load(std::memory_order_acquire); i < used; ++i) {
    const Entry entry = unpack(entries_[i].load(std::memory_order_acquire));
    if (entry.first < pages.end && pages.first < entry.end) found = static_cast<Kinds>(found | 1u << entry.kind);
  }
  return found;
}

}  // namespace seep::leak_scan
