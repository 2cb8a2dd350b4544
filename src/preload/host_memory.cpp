// SPDX-License-Identifier: Apache-2.0
//
// The host maps memory itself: what stands there is the program's, and no heap, whatever was at that address before
// (leak_scan/heap_pages.h); unless it is an allocator's (allocator_mappings.h), which comes this way, too. And the host
// says what a copy of the process is not to have (leak_scan/fork_memory.h).
//
// Not seen: what is mapped by syscall(2) or an instruction of the program's own; what libc maps for itself, which the
// scan is told otherwise (stacks, libraries) or which is glibc's heap.
//
// Runs inside the host, on any thread, from before libc has begun, in signal handlers, in allocators that hold their
// locks. Must never change what the functions do, nor allocate or take a lock.
#include "preload/host_memory.h"

#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "preload/allocator_mappings.h"
#include "preload/leak_scan/fork_memory.h"
#include "preload/next_allocator.h"
#include "preload/recording.h"
#include "record/system.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))

namespace {

using seep::leak_scan::fork_memory;
using seep::leak_scan::ForkMemory;

using MapFunction = void* (*)(void*, size_t, int, int, int, off_t);
using RemapFunction = void* (*)(void*, size_t, size_t, int, void*);
using UnmapFunction = int (*)(void*, size_t);
using AdviseFunction = int (*)(void*, size_t, int);
using AttachFunction = void* (*)(int, const void*, int);

struct NextMemoryCalls {
  std::atomic<MapFunction> map, map64;
  std::atomic<RemapFunction> remap;
  std::atomic<UnmapFunction> unmap;
  std::atomic<AdviseFunction> advise;
  std::atomic<AttachFunction> attach;
};
constinit NextMemoryCalls next_calls{};

template <typename Function>
Function next_of(const std::atomic<Function>& function) {
  return function.load(std::memory_order_relaxed);
}

template <typename Function>
void find(std::atomic<Function>& function, const char* symbol) {
  function.store(reinterpret_cast<Function>(seep::find_next(symbol)), std::memory_order_relaxed);
}

// ---- As libc does it. Past the gate, which is for calls of ours.

long result_of(long result) {
  if (!seep::sys::failed(result)) return result;
  errno = static_cast<int>(-result);
  return -1;
}

void* map_itself(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  return reinterpret_cast<void*>(result_of(seep::kernel_call(SYS_mmap, seep::sys::as_long(address),
                                                             static_cast<long>(bytes), protection, flags, fd, offset)));
}

void* remap_itself(void* old, size_t old_bytes, size_t bytes, int flags, void* address) {
  const long wanted = (flags & MREMAP_FIXED) != 0 ? seep::sys::as_long(address) : 0;
  return reinterpret_cast<void*>(result_of(seep::kernel_call(
      SYS_mremap, seep::sys::as_long(old), static_cast<long>(old_bytes), static_cast<long>(bytes), flags, wanted, 0)));
}

int call_itself(long number, long a, long b, long c) {
  return static_cast<int>(result_of(seep::kernel_call(number, a, b, c, 0, 0, 0)));
}

// ---- What we make of it.

bool is_heap_of(const void* caller) {
  using seep::recording;
  return recording.state.load(std::memory_order_acquire) == seep::Recording::kOn && recording.options.exact() &&
         seep::is_in_known_allocator(caller);
}

// Mapped and known to nobody else yet.
void* mapped(void* start, size_t bytes, const void* caller) {
  if (start == MAP_FAILED) return start;
  const auto address = reinterpret_cast<uintptr_t>(start);
  if (is_heap_of(caller)) seep::recording.heap_pages.add(address, bytes);
  else seep::recording.forget_heap(address, bytes);
  fork_memory.forget(ForkMemory::kBoth, address, bytes);
  return start;
}

// The kernel maps whole huge pages.
size_t mapped_bytes(size_t bytes, int flags) {
  if (__builtin_expect((flags & MAP_HUGETLB) == 0, true)) return bytes;
  constexpr unsigned kShift = 26, kShiftMask = 63, kUsualLog2 = 21;  // MAP_HUGE_SHIFT, MAP_HUGE_MASK; 2 MiB.
  const unsigned log2 = static_cast<unsigned>(flags) >> kShift & kShiftMask;
  const size_t page = size_t{1} << (log2 == 0 ? kUsualLog2 : log2);
  return (bytes + page - 1) & ~(page - 1);
}

template <typename Call>
void* with_move(uintptr_t old, size_t old_bytes, size_t bytes, bool old_stays, const void* caller, Call call) {
  const ForkMemory::Kinds kinds = fork_memory.kinds_in(old, old_bytes == 0 ? 1 : old_bytes);
  if (__builtin_expect(kinds == 0, true)) return mapped(call(), bytes, caller);
  fork_memory.begin_move();
  if (!old_stays) fork_memory.forget(ForkMemory::kBoth, old, old_bytes);
  void* start = mapped(call(), bytes, caller);
  if (start == MAP_FAILED) fork_memory.note(kinds, old, old_bytes);
  else fork_memory.note(kinds, reinterpret_cast<uintptr_t>(start), bytes);
  fork_memory.end_move();
  return start;
}

ForkMemory::Kinds kinds_of(int advice) {
  switch (advice) {
    case MADV_DONTFORK:
    case MADV_DOFORK: return 1 << ForkMemory::kNotCopied;
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK: return 1 << ForkMemory::kWiped;
    default: return 0;
  }
}

int advise(void* address, size_t bytes, int advice) {
  if (const AdviseFunction next = next_of(next_calls.advise)) return next(address, bytes, advice);
  return call_itself(SYS_madvise, seep::sys::as_long(address), static_cast<long>(bytes), advice);
}

__attribute__((noinline, cold)) int advise_about_copies(void* address, size_t bytes, int advice) {
  const auto start = reinterpret_cast<uintptr_t>(address);
  const ForkMemory::Kinds kinds = kinds_of(advice);
  const bool from_now_on = advice == MADV_DONTFORK || advice == MADV_WIPEONFORK;
  // Where the call fails it may have been done for a part; too much is noted then.
  if (from_now_on) fork_memory.note(kinds, start, bytes);
  const int result = advise(address, bytes, advice);
  if (!from_now_on && result == 0) fork_memory.forget(kinds, start, bytes);
  return result;
}

}  // namespace

void seep::find_next_memory_calls() noexcept {
  find(next_calls.map, "mmap");
  find(next_calls.map64, "mmap64");
  find(next_calls.remap, "mremap");
  find(next_calls.unmap, "munmap");
  find(next_calls.advise, "madvise");
  find(next_calls.attach, "shmat");
}

SEEP_HOOK void* host_mmap(void*, size_t, int, int, int, off_t) __asm__("mmap");
SEEP_HOOK void* host_mmap64(void*, size_t, int, int, int, off_t) __asm__("mmap64");
// Declared variadic, but called alike: what is not given is read from a register and handed on as it is.
SEEP_HOOK void* host_mremap(void*, size_t, size_t, int, void*) __asm__("mremap");
SEEP_HOOK int host_munmap(void*, size_t) __asm__("munmap");
SEEP_HOOK int host_madvise(void*, size_t, int) __asm__("madvise");
SEEP_HOOK void* host_shmat(int, const void*, int) __asm__("shmat");

void* host_mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  MapFunction next = next_of(next_calls.map);
  if (next == nullptr) next = map_itself;
  return mapped(next(address, bytes, protection, flags, fd, offset), mapped_bytes(bytes, flags),
                __builtin_return_address(0));
}

void* host_mmap64(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  MapFunction next = next_of(next_calls.map64);
  if (next == nullptr) next = map_itself;
  return mapped(next(address, bytes, protection, flags, fd, offset), mapped_bytes(bytes, flags),
                __builtin_return_address(0));
}

void* host_mremap(void* old, size_t old_bytes, size_t bytes, int flags, void* address) {
  RemapFunction next = next_of(next_calls.remap);
  if (next == nullptr) next = remap_itself;
  const auto start = reinterpret_cast<uintptr_t>(old);
  constexpr int kDontUnmap = 4;  // MREMAP_DONTUNMAP
  const bool old_stays = old_bytes == 0 || (flags & kDontUnmap) != 0;
  seep::recording.forget_heap(start, old_bytes);
  return with_move(start, old_bytes, bytes, old_stays, __builtin_return_address(0),
                   [=] { return next(old, old_bytes, bytes, flags, address); });
}

// Forgotten before: behind the call another thread may have mapped something there. If it fails nothing is lost: pages
// that are no heap are roots.
int host_munmap(void* address, size_t bytes) {
  const auto start = reinterpret_cast<uintptr_t>(address);
  constexpr uintptr_t kPageMask = 4095;
  const bool can_be = bytes != 0 && (start & kPageMask) == 0;
  const ForkMemory::Kinds kinds = can_be ? fork_memory.forget(ForkMemory::kBoth, start, bytes) : ForkMemory::Kinds{0};
  if (can_be) seep::recording.forget_heap(start, bytes);
  const UnmapFunction next = next_of(next_calls.unmap);
  const int result = next != nullptr
                         ? next(address, bytes)
                         : call_itself(SYS_munmap, seep::sys::as_long(address), static_cast<long>(bytes), 0);
  if (__builtin_expect(result != 0 && kinds != 0, false)) fork_memory.note(kinds, start, bytes);
  return result;
}

int host_madvise(void* address, size_t bytes, int advice) {
  if (__builtin_expect(kinds_of(advice) != 0, false)) return advise_about_copies(address, bytes, advice);
  return advise(address, bytes, advice);
}

void* host_shmat(int id, const void* address, int flags) {
  const AttachFunction next = next_of(next_calls.attach);
  void* start = next != nullptr ? next(id, address, flags)
                                : reinterpret_cast<void*>(result_of(
                                      seep::kernel_call(SYS_shmat, id, seep::sys::as_long(address), flags, 0, 0, 0)));
  shmid_ds segment{};
  if (start == MAP_FAILED || seep::system_call(SYS_shmctl, id, IPC_STAT, seep::sys::as_long(&segment)) != 0) {
    return start;
  }
  return mapped(start, segment.shm_segsz, __builtin_return_address(0));
}
