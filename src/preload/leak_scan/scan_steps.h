// SPDX-License-Identifier: Apache-2.0
//
// The steps of one scan, and its memory: look while all threads stand still, judge then or in a copy of the process,
// let the result stand in the recording. Who calls for it, when, and on which stack, is scan.cpp's.
//
// Runs inside the host, one scan at a time, on its own stack; `judge` also in a copy of the process.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/leak_scan/kept_memory.h"
#include "preload/leak_scan/process_copy.h"
#include "preload/leak_scan/roots.h"
#include "preload/leak_scan/stop_threads.h"
#include "preload/unwind/unwinder.h"
#include "record/region.h"

namespace seep::leak_scan {

// Everything that one scan needs, taken when it begins and given back at its end.
struct Workplace {
  static constexpr size_t kStackBytes = 128 << 10, kSmallBytes = 64 << 10;

  explicit Workplace(PrivateMemory& whole) noexcept
      : memory(whole, small, sizeof small),
        stop(memory),
        roots(memory),
        threads(memory),
        regions(memory),
        own(memory),
        kept(memory) {}

  PrivateMemory memory;
  ThreadStop stop;
  RootSet roots;
  GrowingArray<LiveThread> threads;
  GrowingArray<Range> regions, own;
  KeptMemory kept;
  Range allocator{};  // Where glibc's malloc keeps its own lists.
  WalkScratch walk;
  alignas(64) char small[kSmallBytes];  // Zeros, as the memory comes that this lies in.
  alignas(64) char stack[kStackBytes];
  alignas(64) char copy_stack[kStackBytes];  // Of the copy, should there be one.
};

// Notes a scan that has no verdict.
void note_failure(Region region, const ScanFacts& facts, ScanFailure why) noexcept;

class Scan {
 public:
  // `host`: the registers of the calling thread as the host's own code left them.
  Scan(Workplace& place, Region region, const Registers& host, ScanTrigger trigger) noexcept;

  // Stops the threads and notes all that must be seen while they stand still. kNone: they do, and it is seen.
  // `blocked_by_host`: the signals that it blocks in this thread.
  [[nodiscard]] ScanFailure look(uint64_t stop_deadline_ns, uint64_t blocked_by_host) noexcept;

  // Marks, and lets the verdicts stand; notes it if there are none.
  ScanFailure judge(uint64_t deadline_ns) noexcept;
  // Has that done by a copy of the process. False: it must be done here.
  [[nodiscard]] bool judge_in(ProcessCopy& copy, uint64_t deadline_ns) noexcept;

  // Lets the threads go on. False: they had done so before.
  bool go_on() noexcept;

  void fail(ScanFailure why) noexcept;
  [[nodiscard]] uint32_t number() const noexcept { return facts_.number; }

 private:
  [[nodiscard]] bool make_room() noexcept;
  [[nodiscard]] bool can_be_copied() const noexcept;
  [[nodiscard]] bool fill_request() noexcept;
  void pass_over_own_frames(StoppedThread& thread) noexcept;
  [[nodiscard]] bool add_threads() noexcept;
  [[nodiscard]] bool add_regions() noexcept;
  [[nodiscard]] bool add_own() noexcept;
  [[nodiscard]] bool knows_all_blocks() const noexcept;
  void find_allocator() noexcept;

  Workplace& place_;
  const Region region_;
  const Registers host_;
  ScanState& state_;
  const uint64_t begun_ns_;
  uint64_t stopped_ns_ = 0;
  uint64_t deadline_ns_ = 0;
  ScanResult* result_ = nullptr;
  ScanFacts facts_{};
  RootRequest request_;
};

}  // namespace seep::leak_scan
