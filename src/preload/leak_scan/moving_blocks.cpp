// SPDX-License-Identifier: Apache-2.0
//
// What reallocs are moving; see moving_blocks.h.
#include "preload/leak_scan/moving_blocks.h"

#include "preload/leak_scan/process_memory.h"
#include "preload/recorder.h"
#include "preload/recording.h"
#include "processor/processor.h"

namespace seep::leak_scan {
namespace {

constexpr uint64_t kWord = sizeof(uint64_t);
// What realloc and what it calls put on the stack below the hook.
constexpr uint64_t kMostStackBytes = 4096;

template <typename T>
bool read_value(uint64_t address, T& value) {
  return read_process_memory(address, &value, sizeof value) == sizeof value;
}

// Where the thread's MovingBlock is; 0: it moves none.
uint64_t find_moving(const StoppedThread& thread) {
  const uint64_t moving = value_in_thread(thread, offsetof(ThreadState, moving));
  // Close above it the stack pointer says that a handler has jumped out of that realloc. On another stack, far away, a
  // handler may run that has interrupted it.
  const bool left = thread.sp > moving && thread.sp - moving < (uint64_t{64} << 20);
  return left ? 0 : moving;
}

// A word that a realloc had at hand and that is no live block: the new place, if what stands before it fits.
bool may_be_new_place(uint64_t word, uint64_t bytes, bool glibc_heap) {
  constexpr uint64_t kFlags = 7, kMostSlack = 64;
  uint64_t size;
  if (word % 16 != 0 || word < 4096 || !recording.heap_pages.contains(word)) return false;
  if (recording.live.contains(word)) return false;
  if (!glibc_heap) return true;
  if (!read_value(word - kWord, size)) return false;
  size &= ~kFlags;
  return size >= bytes && size <= bytes + kMostSlack;
}

bool add_new_places(const StoppedThread& thread, uint64_t moving, uint64_t bytes, bool glibc_heap,
                    GrowingArray<Range>& ranges) {
  const auto add = [&](uint64_t word) {
    return !may_be_new_place(word, bytes, glibc_heap) || ranges.add({word, word + bytes});
  };
  for (uint32_t i = 0; i < thread.word_count; ++i) {
    if (!add(thread.words[i])) return false;
  }
  uint64_t words[kMostStackBytes / kWord];
  const uint64_t from =
      thread.sp < moving && moving - thread.sp < kMostStackBytes ? thread.sp : moving - kMostStackBytes;
  const size_t count = read_process_memory(from, words, moving - from) / kWord;
  for (size_t i = 0; i < count; ++i) {
    if (!add(words[i])) return false;
  }
  return true;
}

}  // namespace

uint64_t value_in_thread(const StoppedThread& thread, size_t member_offset) noexcept {
  const uint64_t offset = reinterpret_cast<uint64_t>(&thread_state) - thread_pointer();
  uint64_t value = 0;
  const bool read = thread.thread_pointer != 0 && read_value(thread.thread_pointer + offset + member_offset, value);
  return read ? value : 0;
}

bool find_moving_blocks(const StoppedThreads& threads, bool glibc_heap, GrowingArray<Range>& ranges) noexcept {
  for (uint32_t i = 0; i < threads.size(); ++i) {
    const StoppedThread& thread = threads[i];
    if (!thread.stands_still()) continue;
    for (uint64_t moving = find_moving(thread); moving != 0;) {
      alignas(MovingBlock) char bytes[sizeof(MovingBlock)];
      if (read_process_memory(moving, bytes, sizeof bytes) != sizeof bytes) break;
      const auto& block = *reinterpret_cast<const MovingBlock*>(bytes);
      const bool is_there = recording.live.contains(block.block);  // Not taken out yet, or put back.
      if (!is_there && !ranges.add({block.block, block.block + block.record.entry.size_bytes})) return false;
      const bool is_known = block.new_block != 0;
      if (is_known && !ranges.add({block.new_block, block.new_block + block.new_bytes})) return false;
      if (!is_there && !is_known && !add_new_places(thread, moving, block.new_bytes, glibc_heap, ranges)) return false;
      // One that was interrupted by a handler with a realloc of its own.
      moving = block.before > moving ? block.before : 0;
    }
  }
  return true;
}

}  // namespace seep::leak_scan
