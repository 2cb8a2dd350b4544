// SPDX-License-Identifier: Apache-2.0
//
// Slots for threads; see stopped_threads.h.
#include "preload/leak_scan/stopped_threads.h"

#include <bit>

namespace seep::leak_scan {
namespace {

// Chunk k begins at slot kFirst * (2^k - 1).
unsigned chunk_of(uint32_t index, uint32_t first) {
  return static_cast<unsigned>(std::bit_width(index / first + 1)) - 1;
}
uint32_t chunk_start(unsigned chunk, uint32_t first) { return first * ((uint32_t{1} << chunk) - 1); }

}  // namespace

StoppedThread* StoppedThreads::slot(uint32_t index) const noexcept {
  const unsigned chunk = chunk_of(index, kFirstChunk);
  return chunks_[chunk] + (index - chunk_start(chunk, kFirstChunk));
}

StoppedThread* StoppedThreads::add(int32_t tid) noexcept {
  const unsigned chunk = chunk_of(size_, kFirstChunk);
  if (chunk >= kChunks) return nullptr;
  if (chunks_[chunk] == nullptr) {
    chunks_[chunk] = static_cast<StoppedThread*>(memory_.take((size_t{kFirstChunk} << chunk) * sizeof(StoppedThread)));
    if (chunks_[chunk] == nullptr) return nullptr;
  }
  StoppedThread& thread = *slot(size_++);
  thread.tid = tid;
  thread.taken_signal = 0;
  thread.sp = thread.thread_pointer = 0;
  thread.registers.valid = 0;
  thread.in_call = false;
  thread.general_words = thread.word_count = 0;
  thread.state.store(StopState::kAsked, std::memory_order_release);
  return &thread;
}

bool StoppedThreads::knows(int32_t tid) noexcept {
  // The kernel lists threads in the order of their births, which is that of the slots but for those that have ended.
  for (uint32_t tried = 0; tried < size_; ++tried) {
    if (cursor_ >= size_) cursor_ = 0;
    const StoppedThread& thread = *slot(cursor_++);
    if (thread.tid == tid && thread.state.load(std::memory_order_relaxed) != StopState::kGone) return true;
  }
  return false;
}

uint32_t StoppedThreads::count(StopState state) const noexcept {
  uint32_t found = 0;
  for (uint32_t i = 0; i < size_; ++i) found += slot(i)->state.load(std::memory_order_acquire) == state ? 1 : 0;
  return found;
}

}  // namespace seep::leak_scan
