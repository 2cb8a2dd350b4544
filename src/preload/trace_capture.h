// SPDX-License-Identifier: Apache-2.0
//
// The stack trace of a call as a trace of the recording: out of the cache of traces, or walked, made into frames
// (module and offset) and looked up in the trace table.
//
// Runs inside the host, any thread, signal handlers, lock-free.
#pragma once

#include <cstdint>

#include "preload/recording.h"
#include "preload/thread_state.h"
#include "record/trace_table.h"

namespace seep {

// The frame that called a hook, where the hook knows it: what its registers are once the hook has returned.
struct CallerFrame {
  uintptr_t pc, sp, frame_pointer;

  // As SEEP_JUMP_WITH_CALLER tells it.
  CallerFrame(const uintptr_t* return_address, uintptr_t its_frame_pointer) noexcept
      : pc(*return_address), sp(reinterpret_cast<uintptr_t>(return_address + 1)), frame_pointer(its_frame_pointer) {}

  // Where its trace would stand in the cache; 0: nowhere, or the bounds of its stack are not known. Above its end it
  // need not be looked for: the entry's end would be, too.
  [[nodiscard]] __attribute__((always_inline)) uint64_t locate(const ThreadState& thread) const noexcept {
    return sp < thread.stack_low ? 0 : recording.traces.locate(pc, sp, thread.stack_high);
  }
  // Whether that is its trace, with counters that are this thread's.
  [[nodiscard]] __attribute__((always_inline)) bool matches(uint64_t place, const ThreadState& thread,
                                                            TraceCache::Trace& found) const noexcept {
    return place != 0 &&
           recording.traces.matches(place, pc, sp, frame_pointer, thread.stack_high, recording.modules.generation(),
                                    found) &&
           found.thread == thread.number;
  }
  [[nodiscard]] bool find(const ThreadState& thread, TraceCache::Trace& found) const noexcept {
    return matches(locate(thread), thread, found);
  }
};

class TraceCapture {
 public:
  TraceCapture(Region region, ThreadState& thread, Scratch& scratch, unsigned scratch_index)
      : region_(region), thread_(thread), scratch_(scratch), owner_(scratch_index + 1), table_(region) {}

  // 0 where there is no room for it. `caller`: whose trace it is, if that is known.
  __attribute__((always_inline)) Ref capture(uint64_t time_ns, const CallerFrame* caller) {
    const Ref known = caller == nullptr ? 0 : look_up(*caller);
    if (known != 0 && !recording.options.check_traces) return known;
    Registers registers;
    capture_registers(registers);
    const Ref walked = capture_from(registers, time_ns);
    if (known != 0) note_check(known == walked);
    return walked;
  }
  [[nodiscard]] Cut cut() const { return walk_.cut; }

 private:
  [[nodiscard]] Ref look_up(const CallerFrame& caller) const;
  [[nodiscard]] Ref capture_from(const Registers& start, uint64_t time_ns);
  void make_frames();
  [[nodiscard]] bool still_loaded();
  void find_module_of(uintptr_t pc, ModuleView& view);
  void remember(Ref trace, uint32_t generation);
  void note_check(bool right) const;

  Region region_;
  ThreadState& thread_;
  Scratch& scratch_;
  uint32_t owner_;
  TraceTable table_;
  Walk walk_{0, Cut::kWhole};
};

}  // namespace seep
