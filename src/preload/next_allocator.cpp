// SPDX-License-Identifier: Apache-2.0
//
// The allocator behind us and the bootstrap arena; see next_allocator.h.
#include "preload/next_allocator.h"

#include <dlfcn.h>
#include <link.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "preload/recorder.h"

namespace seep {
namespace {

// ---- The bootstrap arena: bump allocation, each block behind a header of its size.

constexpr size_t kArenaBytes = 64 << 10;
constexpr size_t kBlockHeaderBytes = 16;
alignas(4096) constinit char arena[kArenaBytes];
constinit std::atomic<size_t> arena_used{0};

void* bootstrap_allocate(size_t alignment, size_t bytes) {
  if (alignment < 16) alignment = 16;
  size_t used = arena_used.load(std::memory_order_relaxed);
  size_t start;
  do {
    start = (used + kBlockHeaderBytes + alignment - 1) & ~(alignment - 1);
    if (bytes > kArenaBytes || start + bytes > kArenaBytes) {
      errno = ENOMEM;
      return nullptr;
    }
  } while (!arena_used.compare_exchange_weak(used, start + bytes, std::memory_order_relaxed));
  char* block = arena + start;
  memcpy(block - kBlockHeaderBytes, &bytes, sizeof bytes);
  if (!stick_in_filter(block)) {  // free() could not be kept from handing it to the allocator.
    errno = ENOMEM;
    return nullptr;
  }
  return block;
}

// ---- Looking up. While one thread does (there is one, this early), what it allocates is served from the arena.

enum State : uint32_t { kUnknown, kLookingUp, kKnown };
constinit std::atomic<uint32_t> state{kUnknown};

template <typename Function>
void look_up(Function& function, const char* symbol) {
  if (void* found = find_next(symbol)) function = reinterpret_cast<Function>(found);
}

// True once the real functions are in `next`.
bool known() noexcept {
  if (state.load(std::memory_order_acquire) == kUnknown) find_next_allocator();
  return state.load(std::memory_order_acquire) == kKnown;
}

void* first_malloc(size_t size) { return known() ? next.malloc(size) : bootstrap_allocate(0, size); }
void* first_calloc(size_t count, size_t size) {
  if (known()) return next.calloc(count, size);
  size_t bytes;
  return __builtin_mul_overflow(count, size, &bytes) ? nullptr : bootstrap_allocate(0, bytes);  // Zeros: used once.
}
void first_free(void* block) {
  if (block != nullptr && !is_bootstrap_block(block) && known()) next.free(block);
}
void* first_realloc(void* block, size_t size) {
  if (known()) return next.realloc(block, size);
  void* moved = bootstrap_allocate(0, size);
  if (moved != nullptr && block != nullptr) {
    const size_t old = bootstrap_block_bytes(block);
    memcpy(moved, block, old < size ? old : size);
  }
  return moved;
}
void* first_reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  if (known()) return next.reallocarray(block, count, size);
  return __builtin_mul_overflow(count, size, &bytes) ? nullptr : first_realloc(block, bytes);
}
void* first_memalign(size_t alignment, size_t size) {
  return known() ? next.memalign(alignment, size) : bootstrap_allocate(alignment, size);
}
void* first_aligned_alloc(size_t alignment, size_t size) {
  return known() ? next.aligned_alloc(alignment, size) : bootstrap_allocate(alignment, size);
}
int first_posix_memalign(void** block, size_t alignment, size_t size) {
  if (known()) return next.posix_memalign(block, alignment, size);
  void* made = bootstrap_allocate(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}
void* first_valloc(size_t size) { return known() ? next.valloc(size) : bootstrap_allocate(4096, size); }
void* first_pvalloc(size_t size) {
  return known() ? next.pvalloc(size) : bootstrap_allocate(4096, (size + 4095) & ~size_t{4095});
}
size_t first_malloc_usable_size(void* block) { return known() ? next.malloc_usable_size(block) : 0; }

}  // namespace

constinit NextAllocator next = {
    first_malloc,        first_free,           first_calloc, first_realloc, first_reallocarray,      first_memalign,
    first_aligned_alloc, first_posix_memalign, first_valloc, first_pvalloc, first_malloc_usable_size};

void find_next_allocator() noexcept {
  uint32_t unknown = kUnknown;
  if (!state.compare_exchange_strong(unknown, kLookingUp, std::memory_order_acq_rel)) return;
  start_filter();
  NextAllocator found = next;
  look_up(found.malloc, "malloc");
  look_up(found.free, "free");
  look_up(found.calloc, "calloc");
  look_up(found.realloc, "realloc");
  look_up(found.reallocarray, "reallocarray");
  look_up(found.memalign, "memalign");
  look_up(found.aligned_alloc, "aligned_alloc");
  look_up(found.posix_memalign, "posix_memalign");
  look_up(found.valloc, "valloc");
  look_up(found.pvalloc, "pvalloc");
  look_up(found.malloc_usable_size, "malloc_usable_size");
  next = found;
  state.store(kKnown, std::memory_order_release);
}

bool is_bootstrap_block(const void* block) noexcept {
  return reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(arena) < kArenaBytes;
}

BootstrapArena bootstrap_arena() noexcept {
  const auto start = reinterpret_cast<uintptr_t>(arena);
  return {start, start + kArenaBytes};
}

size_t bootstrap_block_bytes(const void* block) noexcept {
  size_t bytes;
  memcpy(&bytes, static_cast<const char*>(block) - kBlockHeaderBytes, sizeof bytes);
  return bytes;
}

bool same_object(const void* a, const void* b) noexcept {
  dl_find_object in_a, in_b;
  return _dl_find_object(const_cast<void*>(a), &in_a) == 0 && _dl_find_object(const_cast<void*>(b), &in_b) == 0 &&
         in_a.dlfo_link_map == in_b.dlfo_link_map;
}

void* find_next(const char* symbol) noexcept {
  const auto here = reinterpret_cast<const void*>(&find_next);
  void* found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr || !same_object(found, here)) return found;
  // This dlsym is the program's own, not libc's: the next one that it finds is the one behind the program, which is
  // ours.
  void* libcs = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
  if (libcs == nullptr) {
    dlerror();
    return nullptr;
  }
  found = reinterpret_cast<void* (*)(void*, const char*)>(libcs)(RTLD_NEXT, symbol);
  return found != nullptr && same_object(found, here) ? nullptr : found;
}

void* find_next_operator(const char* symbol, const void* caller) noexcept {
  if (void* found = find_next(symbol)) return found;
  dlerror();  // Our failure, not the host's.
  dl_find_object object;
  if (_dl_find_object(const_cast<void*>(caller), &object) != 0) return nullptr;
  void* handle = dlopen(object.dlfo_link_map->l_name, RTLD_NOLOAD | RTLD_LAZY);
  if (handle == nullptr) {
    dlerror();
    return nullptr;
  }
  void* found = dlsym(handle, symbol);
  if (found == nullptr) dlerror();
  if (found != nullptr && same_object(found, reinterpret_cast<const void*>(&find_next_operator))) found = nullptr;
  dlclose(handle);  // Gives back what RTLD_NOLOAD counted; the caller keeps its library open.
  return found;
}

}  // namespace seep
