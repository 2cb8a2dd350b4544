// SPDX-License-Identifier: Apache-2.0
//
// The stacks of threads; see thread_stacks.h.
#include "preload/leak_scan/thread_stacks.h"

#include <algorithm>

#include "preload/leak_scan/process_memory.h"
#include "processor/processor.h"

namespace seep::leak_scan {
namespace {

constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kSelf = kControlBlockSelf / kWord, kSelfAgain = kControlBlockSelfAgain / kWord;
constexpr size_t kHeaderWords = kSelfAgain + 1;
constexpr uint64_t kControlBlockAlignment = 64;  // The least of static TLS.

uint32_t half_word(const uint64_t* words, size_t offset) {
  return static_cast<uint32_t>(words[offset / kWord] >> offset % kWord * 8);
}

}  // namespace

const Mapping* ThreadStacks::mapping_of(uint64_t address) const noexcept {
  const Mapping* found = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                          [](uint64_t at, const Mapping& mapping) { return at < mapping.end; });
  return found != mappings_.end() && found->start <= address ? found : nullptr;
}

bool ThreadStacks::is_live(uint64_t thread_pointer) const noexcept {
  return std::any_of(threads_, threads_ + thread_count_,
                     [=](const LiveThread& thread) { return thread.thread_pointer == thread_pointer; });
}

bool ThreadStacks::read_control_block(uint64_t address, uint64_t end) noexcept {
  if (address == 0 || address % kWord != 0 || address >= end) return false;
  block_.address = address;
  const size_t wanted = std::min<uint64_t>(end - address, sizeof block_.words);
  block_.word_count = read_process_memory(address, block_.words, wanted) / kWord;
  return block_.word_count > kHeaderWords && block_.words[kSelf] == address && block_.words[kSelfAgain] == address;
}

// A guard, the stack above it, and a few more for programs that protect parts of their stacks.
bool ThreadStacks::is_mapped_throughout(uint64_t start, uint64_t end) const noexcept {
  constexpr int kMostMappings = 16;
  const Mapping* mapping = mapping_of(start);
  for (int i = 0; i < kMostMappings && mapping != nullptr; ++i) {
    if (end < mapping->end) return true;
    const Mapping* next = mapping + 1;
    mapping = next != mappings_.end() && next->start == mapping->end ? next : nullptr;
  }
  return false;
}

// The piece of memory that the control block lies at the high end of.
bool ThreadStacks::find_stack(Range& stack) const noexcept {
  for (size_t i = kHeaderWords; i + 1 < block_.word_count; ++i) {
    const uint64_t start = block_.words[i], bytes = block_.words[i + 1], end = start + bytes;
    if (start == 0 || start >= block_.address || end <= block_.address || end < start) continue;
    // Two numbers may fit by chance: a tid, and a pointer into this block.
    if (end - block_.address > kMostControlBytes || !is_mapped_throughout(start, block_.address)) continue;
    stack = {start, end};
    return true;
  }
  return false;
}

// Where each thread's control block has its tid.
void ThreadStacks::find_tid_offset() noexcept {
  size_t candidates = 0;
  uint64_t possible[kMostControlBytes / sizeof(uint32_t) / 64];
  for (uint64_t& word : possible) word = ~uint64_t{0};
  for (uint64_t i = 0; i < thread_count_; ++i) {
    const Mapping* mapping = mapping_of(threads_[i].thread_pointer);
    if (mapping == nullptr || !read_control_block(threads_[i].thread_pointer, mapping->end)) continue;
    candidates = 0;
    for (size_t at = 0; at < kMostControlBytes / sizeof(uint32_t); ++at) {
      const bool here = at >= kHeaderWords * 2 && at / 2 < block_.word_count &&
                        half_word(block_.words, at * sizeof(uint32_t)) == threads_[i].tid;
      if (!here) possible[at / 64] &= ~(uint64_t{1} << at % 64);
      else if ((possible[at / 64] >> at % 64 & 1) != 0) ++candidates;
    }
  }
  for (size_t at = 0; candidates > 0 && at < kMostControlBytes / sizeof(uint32_t); ++at) {
    if ((possible[at / 64] >> at % 64 & 1) == 0) continue;
    tid_offset_ = at * sizeof(uint32_t);
    return;
  }
}

bool ThreadStacks::add_live(const LiveThread& thread, RangeSet& live, RangeSet& stale,
                            GrowingArray<uint64_t>& words) noexcept {
  const uint64_t live_from = thread.in_call ? thread.sp : thread.sp - kRedZoneBytes;
  const Mapping* mapping = mapping_of(thread.thread_pointer);
  const bool has_block = mapping != nullptr && read_control_block(thread.thread_pointer, mapping->end);
  if (has_block && !words.add(block_.words[kControlBlockDtv / kWord] - kDtvOffset)) return false;
  Range stack;
  if (has_block && find_stack(stack)) {
    // On another stack (a signal's, a coroutine's) it has left frames on its own that we do not know the depth of.
    if (!stack.holds(thread.sp)) return live.add(stack.start, stack.end);
    return live.add(std::max(live_from, stack.start), stack.end) && stale.add(stack.start, live_from);
  }
  const Mapping* below = mapping_of(thread.sp);
  if (below != nullptr && below->is_main_stack) {
    return live.add(std::max(live_from, below->start), below->end) && stale.add(below->start, live_from);
  }
  ++unknown_stacks_;
  return true;
}

// The address of a control block that may be the end of a stack's piece of memory, read into block_; or 0.
uint64_t ThreadStacks::find_control_block(uint64_t end, uint64_t low) noexcept {
  // A page that no thread has touched stays so.
  constexpr uint64_t kPageBytes = 4096;
  uint64_t from = end;
  while (from > low && end - from < kMostControlBytes && is_resident(from - kPageBytes)) from -= kPageBytes;
  uint64_t words[kMostControlBytes / kWord];
  const size_t count = from == end ? 0 : read_process_memory(from, words, end - from) / kWord;
  for (size_t i = 0; i + kHeaderWords <= count; ++i) {
    const uint64_t address = from + i * kWord;
    if (address % kControlBlockAlignment != 0 || words[i + kSelf] != address || words[i + kSelfAgain] != address) {
      continue;
    }
    if (read_control_block(address, end)) return address;
  }
  return 0;
}

// Whether somebody may still come to ask for the result of an ended thread: it is neither joined nor detached. (One
// that is only about to start looks the same; what it was given stands there, too.)
bool ThreadStacks::may_be_awaited() const noexcept {
  if (half_word(block_.words, tid_offset_) != 0) return false;
  for (size_t i = kHeaderWords; i < block_.word_count; ++i) {
    if (block_.words[i] == block_.address) return false;
  }
  return true;
}

// Downwards from the mapping's end, since stacks without guard pages between them are one mapping.
bool ThreadStacks::add_ended(const Mapping& mapping, RangeSet& live, RangeSet& stale,
                             GrowingArray<uint64_t>& words) noexcept {
  uint64_t end = mapping.end;
  while (end > mapping.start) {
    const uint64_t address = find_control_block(end, mapping.start);
    Range stack;
    if (address == 0 || !find_stack(stack) || stack.end != end) return true;
    if (!is_live(address) && static_cast<int32_t>(half_word(block_.words, tid_offset_)) <= 0) {
      ++ended_stacks_;
      // Kept for the next thread that gets this stack.
      if (!words.add(block_.words[kControlBlockDtv / kWord] - kDtvOffset)) return false;
      const uint64_t stale_end = may_be_awaited() ? address : end;
      if (!stale.add(stack.start, stale_end) || !live.add(stale_end, end)) return false;
    }
    end = stack.start;
  }
  return true;
}

bool ThreadStacks::find(RangeSet& live, RangeSet& stale, GrowingArray<uint64_t>& words) noexcept {
  find_tid_offset();
  for (uint64_t i = 0; i < thread_count_; ++i) {
    if (!add_live(threads_[i], live, stale, words)) return false;
  }
  if (tid_offset_ == 0) return true;
  for (const Mapping& mapping : mappings_) {
    const bool may_be_stack = mapping.kind == MappingKind::kAnonymous && mapping.readable && mapping.writable;
    if (may_be_stack && !mapping.is_main_stack && !add_ended(mapping, live, stale, words)) return false;
  }
  return true;
}

}  // namespace seep::leak_scan
