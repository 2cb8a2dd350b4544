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

#include "preload/next_allocator.h"
#include "preload/recorder.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))
#define SEEP_SLOW __attribute__((noinline, cold)) static

using seep::next;

namespace {

// ---- The slow sides.

void* recorded(void* block, size_t size) {
  if (block != nullptr) seep::record_allocation(block, size);
  return block;
}

SEEP_SLOW void* slow_malloc(size_t size) {
  seep::hold(nullptr);
  const bool sampled = seep::is_sampled(size);
  void* block = next.malloc(size);
  return sampled ? recorded(block, size) : block;
}

SEEP_SLOW void* slow_calloc(size_t count, size_t size) {
  seep::hold(nullptr);
  const bool sampled = seep::is_sampled(count * size);
  void* block = next.calloc(count, size);
  return sampled ? recorded(block, count * size) : block;
}

SEEP_SLOW void slow_free(void* block) {
  seep::hold(block);
  if (seep::is_bootstrap_block(block)) return;
  const seep::TakenRecord record = seep::take_record(block);
  seep::count_freed(block, record, true);
  next.free(block);
  seep::note_given_back(block, record);
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
// result that is no failure.
SEEP_SLOW void* slow_realloc(void* block, size_t size, bool wanted) {
  seep::hold(block);
  const bool sampled = wanted && seep::is_sampled(size);
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
  return sampled ? recorded(result, size) : result;
}

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

SEEP_HOOK void* malloc(size_t size) {
  if (seep::wants_sample(size)) return slow_malloc(size);
  return next.malloc(size);
}

SEEP_HOOK void free(void* block) {
  if (seep::maybe_recorded(block)) return slow_free(block);
  next.free(block);
}

SEEP_HOOK void* calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_expect(__builtin_mul_overflow(count, size, &bytes), false)) return next.calloc(count, size);
  if (seep::wants_sample(bytes)) return slow_calloc(count, size);
  return next.calloc(count, size);
}

SEEP_HOOK void* realloc(void* block, size_t size) {
  const bool wanted = seep::wants_sample(size);
  if (wanted || seep::maybe_recorded(block)) return slow_realloc(block, size, wanted);
  return next.realloc(block, size);
}

// As realloc: glibc's reallocarray calls realloc, through us, and would be recorded twice.
SEEP_HOOK void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_expect(__builtin_mul_overflow(count, size, &bytes), false)) {
    return next.reallocarray(block, count, size);  // Fails as it must.
  }
  const bool wanted = seep::wants_sample(bytes);
  if (wanted || seep::maybe_recorded(block)) return slow_realloc(block, bytes, wanted);
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
  if (seep::maybe_recorded(block)) return slow_free(block);
  next.free(block);
}

SEEP_HOOK void free_aligned_sized(void* block, size_t, size_t) {
  if (seep::maybe_recorded(block)) return slow_free(block);
  next.free(block);
}

SEEP_HOOK size_t malloc_usable_size(void* block) {
  if (seep::is_bootstrap_block(block)) return seep::bootstrap_block_bytes(block);
  return next.malloc_usable_size(block);
}
