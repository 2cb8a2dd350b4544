// SPDX-License-Identifier: Apache-2.0
//
// From a stack to a trace; see trace_capture.h.
#include "preload/trace_capture.h"

namespace seep {

// A thread that has the stack of one that has ended walks once, so that the fast path finds its own counters.
Ref TraceCapture::look_up(const CallerFrame& caller) const {
  TraceCache::Trace found;
  return caller.find(thread_, found) ? found.trace : 0;
}

__attribute__((noinline)) Ref TraceCapture::capture_from(const Registers& start, uint64_t time_ns) {
  for (unsigned attempt = 0;; ++attempt) {
    Registers registers = start;
    const uint32_t generation = recording.modules.generation();
    walk_ = recording.unwinder.walk(registers, thread_, scratch_.walk, scratch_.pcs, recording.options.depth);
    make_frames();
    // A new trace: rows from the cache may be of a library that has gone without a dlclose; then once more, afresh.
    bool is_doubtful = false;
    auto may_insert = [&] { return !(is_doubtful = attempt == 0 && !still_loaded()); };
    const Ref trace = table_.find_or_insert(scratch_.frames, walk_.count, walk_.cut, time_ns, may_insert);
    if (trace != 0) remember(trace, generation);
    if (trace != 0 || !is_doubtful) return trace;
    recording.forget_loaded_code();
  }
}

// pcs to (module, offset).
void TraceCapture::make_frames() {
  ModuleView view;
  for (uint32_t i = 0; i < walk_.count; ++i) {
    const uintptr_t pc = scratch_.pcs[i];
    if (!view.holds(pc)) find_module_of(pc, view);
    scratch_.frames[i] = view.id == 0 ? make_frame(0, pc) : make_frame(view.id, pc - view.load_bias);
  }
}

// Whether what is mapped at each frame is what was remembered.
bool TraceCapture::still_loaded() {
  ModuleView view;
  for (uint32_t i = 0; i < walk_.count; ++i) {
    const uintptr_t pc = scratch_.pcs[i];
    if (view.holds(pc)) continue;
    find_module_of(pc, view);
    if (view.id != 0 && !recording.modules.still_loaded(pc, view)) return false;
  }
  return true;
}

void TraceCapture::find_module_of(uintptr_t pc, ModuleView& view) {
  view = ModuleView();
  if (!recording.modules.find(pc, region_, scratch_.path, view)) view = ModuleView();
}

// For the next time that the stack looks like this; where it was walked by nothing else than these words, and the trace
// is one that every thread may count in.
void TraceCapture::remember(Ref trace, uint32_t generation) {
  const WalkedWords& words = scratch_.walk.words;
  const bool whole = walk_.cut == Cut::kWhole || walk_.cut == Cut::kDepthLimit;
  if (!recording.options.exact() || !words.usable || !whole || region_.part_of(trace) != 0) return;
  if (!AddressTable::fits(0, trace, 0)) return;
  const WalkStart start{words.pc, words.sp, words.frame_pointer, thread_.stack_high, generation};
  TraceCache::Trace found;
  if (recording.traces.find(start, found) && found.thread == thread_.number) return;
  TraceTable table(region_);
  CounterBlock* shard = table.shard(*region_.at<Trace>(trace), thread_.shard);
  if (shard == nullptr) return;
  recording.traces.insert(start, words, {AddressTable::trace_bits(trace), shard, thread_.number, trace}, owner_,
                          [&](uint32_t other) { return !recording.scratches.is_held(other - 1); });
}

void TraceCapture::note_check(bool right) const {
  region_.count_loss(right ? LossKind::kCheckedTrace : LossKind::kWrongTrace);
}

}  // namespace seep
