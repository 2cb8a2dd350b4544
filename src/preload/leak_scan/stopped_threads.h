// SPDX-License-Identifier: Apache-2.0
//
// The threads that a leak scan found, and what each of them held in its registers when it stood still. Private memory,
// which is kept for the next scan. Filled by the thread that scans, by its helper (ptrace_stop.h) or by the threads
// themselves in a signal handler (signal_stop.h), one slot a thread. Runs inside the host; signal handlers; lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/private_memory.h"
#include "processor/processor.h"

namespace seep::leak_scan {

enum class StopState : uint32_t {
  kAsked,    // To stop; it has not done so yet.
  kStopped,  // Stands still; its registers are here.
  kGone,     // Has ended.
  kMissed,   // Runs on, as far as we know: blocks and roots that only it knows are not seen.
  kItself,   // The thread that scans, with its registers of when it asked.
};

struct StoppedThread {
  static constexpr unsigned kMostWords = kPtraceWords + kMostVectorWords;

  int32_t tid;
  std::atomic<StopState> state;
  int32_t taken_signal;      // That was on its way to the thread, which must get it when it goes on; or 0.
  uintptr_t sp;              // Live stack from here on, besides the red zone below.
  uintptr_t thread_pointer;  // fs base; 0 where the thread has none.
  Registers registers;       // The general ones, all that are told; none of a thread that does not stand still.
  bool in_call;              // Its registers are those of a caller of ours: it has given up its red zone.
  uint32_t general_words;    // The first so many words are of general registers; the others of vector registers.
  uint32_t word_count;
  uint64_t words[kMostWords];  // Those that may be addresses.

  // Whether it takes part in the scan.
  [[nodiscard]] bool stands_still() const noexcept {
    const StopState now = state.load(std::memory_order_acquire);
    return now == StopState::kStopped || now == StopState::kItself;
  }
  void keep_general(uint64_t word) noexcept {
    keep(word);
    general_words = word_count;
  }
  // It is in a function of ours: what counts are the registers as the program's own code left them, and the block that
  // this function is about.
  void pass_over(const Registers& host, uint64_t in_hand) noexcept {
    word_count = general_words = 0;
    sp = host.value[kDwarfStackPointer];
    in_call = true;
    for (const unsigned number : kPreservedRegisters) {
      if (host.has(number)) keep_general(host.value[number]);
    }
    keep_general(registers.value[kDwarfFirstArgument]);  // Of a hook that has only begun.
    keep_general(thread_pointer);
    keep_general(in_hand);
  }
  // `area` of `bytes` as for_each_vector_word takes it. After the general ones.
  void keep_vectors(const void* area, size_t bytes) noexcept {
    for_each_vector_word(area, bytes, [this](uint64_t word) { keep(word); });
  }

 private:
  // No page below 4096 can be had (mmap_min_addr may be lower, but malloc never is there), and no user address is
  // above 2^56.
  void keep(uint64_t word) noexcept {
    if (word >= 4096 && word >> 56 == 0 && word_count < kMostWords) words[word_count++] = word;
  }
};

class StoppedThreads {
 public:
  constexpr explicit StoppedThreads(PrivateMemory& memory) : memory_(memory) {}
  StoppedThreads(const StoppedThreads&) = delete;
  StoppedThreads& operator=(const StoppedThreads&) = delete;

  [[nodiscard]] uint32_t size() const noexcept { return size_; }
  [[nodiscard]] StoppedThread& operator[](uint32_t index) noexcept { return *slot(index); }
  [[nodiscard]] const StoppedThread& operator[](uint32_t index) const noexcept { return *slot(index); }
  [[nodiscard]] uint32_t count(StopState state) const noexcept;

  // The functions below: by one thread at a time.
  void clear() noexcept { size_ = cursor_ = 0; }
  // A slot for the thread, kAsked and without registers. Null where there is no memory.
  [[nodiscard]] StoppedThread* add(int32_t tid) noexcept;
  // Whether a slot has it that is not kGone. Fast when asked in the order of the slots, over and over.
  [[nodiscard]] bool knows(int32_t tid) noexcept;

 private:
  // Chunk k has kFirstChunk << k slots.
  static constexpr uint32_t kFirstChunk = 32;
  static constexpr unsigned kChunks = 18;  // More than the kernel has numbers for threads.

  [[nodiscard]] StoppedThread* slot(uint32_t index) const noexcept;

  PrivateMemory& memory_;
  uint32_t size_ = 0;
  uint32_t cursor_ = 0;
  StoppedThread* chunks_[kChunks] = {};
};

}  // namespace seep::leak_scan
