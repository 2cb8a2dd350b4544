// SPDX-License-Identifier: Apache-2.0
//
// The malloc family. A hook is: one question to the recorder, one real call, one call to the recorder; no logic. On the
// fast path the real call is a jump.
//
// Runs inside the host, on any thread, at any time from before the first constructor to after the last destructor, in
// signal handlers. Must never call what it hooks.
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "preload/exact_path.h"
#include "preload/next_allocator.h"
#include "preload/recorder.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))
#define SEEP_SLOW __attribute__((noinline, cold)) static
#define SEEP_JUMPED_TO extern "C" __attribute__((visibility("hidden"), used))

using seep::CallerFrame;
using seep::ClockIs;
using seep::next;
using seep::Ref;

// The ways there; by SEEP_JUMP_WITH_CALLER below.
#define SEEP_WAY extern "C" __attribute__((visibility("hidden")))
SEEP_WAY void* seep_slow_malloc(size_t size);
SEEP_WAY void* seep_slow_calloc(size_t count, size_t size);
SEEP_WAY void* seep_slow_realloc(void* block, size_t size);
SEEP_WAY void seep_slow_free(void* block);

namespace {

// ---- The slow sides. Those that are jumped to know their caller (SEEP_JUMP_WITH_CALLER).

void* recorded(void* block, size_t size, const CallerFrame* caller = nullptr) {
  if (block != nullptr) seep::record_allocation(block, size, caller);
  return block;
}

// In exact mode, while all that the fast path needs is there.
bool records_at_once() { return seep::recording.process_page->region.load(std::memory_order_relaxed) != nullptr; }

__attribute__((noinline)) void* look_at_peak(void* block, size_t size, char* region, Ref trace,
                                             seep::CounterBlock* shard) {
  const seep::Region here(region);
  seep::TraceTable(here).note_peak(*here.at<seep::Trace>(trace), shard, size);
  return block;
}

__attribute__((always_inline)) inline uint64_t locate_trace(const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  return CallerFrame(caller_pc, frame_pointer).locate(seep::thread_state);
}

SEEP_SLOW void* recorded_slowly(void* block, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer);

// What is called from here is called last, so that nothing has to be kept for what comes after.
template <ClockIs clock_is>
__attribute__((always_inline)) inline void* recorded_exactly(void* block, size_t size, uint64_t trace_place,
                                                             const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::hold(block);
  seep::RecordedAtOnce at_once;
  switch (seep::record_at_once<clock_is>(block, size, CallerFrame(caller_pc, frame_pointer), trace_place, at_once)) {
    case seep::AtOnce::kDone: return block;
    case seep::AtOnce::kPeak: return look_at_peak(block, size, at_once.region, at_once.trace, at_once.shard);
    case seep::AtOnce::kNot: break;
  }
  if (clock_is == ClockIs::kReadBefore) return recorded_slowly(block, size, caller_pc, frame_pointer);
  const CallerFrame caller(caller_pc, frame_pointer);
  if (seep::record_known(block, size, caller)) return block;
  return recorded(block, size, &caller);
}

// Mostly a tick has come since the thread's last event, or its trace is not in the cache.
SEEP_SLOW void* recorded_slowly(void* block, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::read_time(seep::thread_state);
  return recorded_exactly<ClockIs::kReadNow>(block, size, locate_trace(caller_pc, frame_pointer), caller_pc,
                                             frame_pointer);
}

// A block of the bootstrap arena cannot grow: the allocator gets a copy of it, and does with that what it does with its
// own, also where the size is 0.
void* move_from_bootstrap(void* block, size_t size) {
  const size_t old = seep::bootstrap_block_bytes(block);
  void* copy = next.malloc(old);
  if (copy == nullptr) return nullptr;
  __builtin_memcpy(copy, block, old);
  void* moved = next.realloc(copy, size);
  if (moved == nullptr && size != 0) next.free(copy);
  return moved;
}

// The record leaves before the call, and comes back where it fails. realloc to nothing frees, in glibc with a null
// result that is no failure. `caller_pc`: null where the new block is not to be recorded.
void* reallocate(void* block, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::hold(block);
  const bool sampled = caller_pc != nullptr && (records_at_once() || seep::is_sampled(size));
  if (seep::is_bootstrap_block(block)) {
    void* moved = move_from_bootstrap(block, size);
    return sampled ? recorded(moved, size) : moved;
  }
  seep::MovingBlock moving(block, size);
  const seep::TakenRecord& record = moving.record;
  seep::take_record(block, moving.record);
  void* result = next.realloc(block, size);
  moving.is_at(result);
  if (result == nullptr && size != 0) {
    seep::put_back(block, record);
    return nullptr;
  }
  seep::count_freed(block, record, result == nullptr);
  seep::note_given_back(block, record);
  if (!sampled || result == nullptr) return result;
  return recorded_exactly<ClockIs::kReadBefore>(result, size, locate_trace(caller_pc, frame_pointer), caller_pc,
                                                frame_pointer);
}

SEEP_SLOW void free_slowly(void* block, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::read_time(seep::thread_state);
  if (seep::release_at_once<ClockIs::kReadNow>(block)) return next.free(block);
  if (seep::is_bootstrap_block(block)) return;
  const seep::TakenRecord record = seep::take_record(block);
  const CallerFrame caller(caller_pc, frame_pointer);
  seep::count_freed(block, record, true, &caller);
  next.free(block);
  seep::note_given_back(block, record);
}

SEEP_SLOW void* slow_realloc(void* block, size_t size) { return reallocate(block, size, nullptr, 0); }

// The aligned ones are rare enough to share a slow side.
template <typename Call>
__attribute__((noinline, cold)) void* slow_aligned(size_t size, Call call) {
  seep::hold(nullptr);
  const bool sampled = seep::is_sampled(size);
  void* block = call();
  return sampled ? recorded(block, size) : block;
}

SEEP_SLOW int slow_posix_memalign(void** block, size_t alignment, size_t size) {
  seep::hold(nullptr);
  const bool sampled = seep::is_sampled(size);
  const int result = next.posix_memalign(block, alignment, size);
  if (sampled && result == 0) seep::record_allocation(*block, size);
  return result;
}

}  // namespace

SEEP_SLOW void* first_malloc(size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  const bool sampled = seep::is_sampled(size);
  void* block = next.malloc(size);
  return sampled ? recorded_slowly(block, size, caller_pc, frame_pointer) : block;
}

SEEP_JUMPED_TO void* seep_malloc_from(size_t size, size_t, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::hold(nullptr);
  if (__builtin_expect(!records_at_once(), false)) return first_malloc(size, caller_pc, frame_pointer);
  const uint64_t place = locate_trace(caller_pc, frame_pointer);
  return recorded_exactly<ClockIs::kReadBefore>(next.malloc(size), size, place, caller_pc, frame_pointer);
}
SEEP_JUMP_WITH_CALLER(seep_slow_malloc, seep_malloc_from);

SEEP_SLOW void* first_calloc(size_t count, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  const bool sampled = seep::is_sampled(count * size);
  void* block = next.calloc(count, size);
  return sampled ? recorded_slowly(block, count * size, caller_pc, frame_pointer) : block;
}

SEEP_JUMPED_TO void* seep_calloc_from(size_t count, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  seep::hold(nullptr);
  if (__builtin_expect(!records_at_once(), false)) return first_calloc(count, size, caller_pc, frame_pointer);
  const uint64_t place = locate_trace(caller_pc, frame_pointer);
  return recorded_exactly<ClockIs::kReadBefore>(next.calloc(count, size), count * size, place, caller_pc,
                                                frame_pointer);
}
SEEP_JUMP_WITH_CALLER(seep_slow_calloc, seep_calloc_from);

SEEP_JUMPED_TO void* seep_realloc_from(void* block, size_t size, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  return reallocate(block, size, caller_pc, frame_pointer);
}
SEEP_JUMP_WITH_CALLER(seep_slow_realloc, seep_realloc_from);

SEEP_JUMPED_TO void seep_free_from(void* block, size_t, const uintptr_t* caller_pc, uintptr_t frame_pointer) {
  if (block == nullptr) return next.free(block);
  seep::hold(block);
  if (__builtin_expect(seep::release_at_once<ClockIs::kReadBefore>(block), true)) return next.free(block);
  free_slowly(block, caller_pc, frame_pointer);
}
SEEP_JUMP_WITH_CALLER(seep_slow_free, seep_free_from);

SEEP_HOOK void* malloc(size_t size) {
  if (seep::wants_sample(size)) return seep_slow_malloc(size);
  return next.malloc(size);
}

SEEP_HOOK void free(void* block) {
  if (seep::maybe_recorded(block)) return seep_slow_free(block);
  next.free(block);
}

SEEP_HOOK void* calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_expect(__builtin_mul_overflow(count, size, &bytes), false)) return next.calloc(count, size);
  if (seep::wants_sample(bytes)) return seep_slow_calloc(count, size);
  return next.calloc(count, size);
}

SEEP_HOOK void* realloc(void* block, size_t size) {
  if (seep::wants_sample(size)) return seep_slow_realloc(block, size);
  if (seep::maybe_recorded(block)) return slow_realloc(block, size);
  return next.realloc(block, size);
}

// As realloc: glibc's reallocarray calls realloc, through us, and would be recorded twice.
SEEP_HOOK void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_expect(__builtin_mul_overflow(count, size, &bytes), false)) {
    return next.reallocarray(block, count, size);  // Fails as it must.
  }
  if (seep::wants_sample(bytes)) return seep_slow_realloc(block, bytes);
  if (seep::maybe_recorded(block)) return slow_realloc(block, bytes);
  return next.realloc(block, bytes);
}

SEEP_HOOK void* memalign(size_t alignment, size_t size) {
  if (seep::wants_sample(size)) return slow_aligned(size, [=] { return next.memalign(alignment, size); });
  return next.memalign(alignment, size);
}

SEEP_HOOK void* aligned_alloc(size_t alignment, size_t size) {
  if (seep::wants_sample(size)) return slow_aligned(size, [=] { return next.aligned_alloc(alignment, size); });
  return next.aligned_alloc(alignment, size);
}

SEEP_HOOK int posix_memalign(void** block, size_t alignment, size_t size) {
  if (seep::wants_sample(size)) return slow_posix_memalign(block, alignment, size);
  return next.posix_memalign(block, alignment, size);
}

SEEP_HOOK void* valloc(size_t size) {
  if (seep::wants_sample(size)) return slow_aligned(size, [=] { return next.valloc(size); });
  return next.valloc(size);
}

SEEP_HOOK void* pvalloc(size_t size) {
  if (seep::wants_sample(size)) return slow_aligned(size, [=] { return next.pvalloc(size); });
  return next.pvalloc(size);
}

// To the next free, not to a next free_sized: glibc has none before 2.43, and both free.
SEEP_HOOK void free_sized(void* block, size_t) {
  if (seep::maybe_recorded(block)) return seep_slow_free(block);
  next.free(block);
}

SEEP_HOOK void free_aligned_sized(void* block, size_t, size_t) {
  if (seep::maybe_recorded(block)) return seep_slow_free(block);
  next.free(block);
}

SEEP_HOOK size_t malloc_usable_size(void* block) {
  if (seep::is_bootstrap_block(block)) return seep::bootstrap_block_bytes(block);
  return next.malloc_usable_size(block);
}
