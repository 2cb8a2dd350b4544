// SPDX-License-Identifier: Apache-2.0
//
// The allocator behind us: the next definition of each function in the order in which the loader looks symbols up, be
// it glibc's, jemalloc's, tcmalloc's or mimalloc's. We never allocate for the host ourselves, but for one case: what
// dlsym allocates while it looks up malloc comes from a small static arena.
//
// Each pointer begins as a function that looks up the real one and calls it, so that the hooks may call through them at
// any time, before every constructor too. Looking up takes the loader's lock, which is recursive; none of ours is held.
// Runs inside the host, any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace seep {

struct NextAllocator {
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void* (*reallocarray)(void*, size_t, size_t);
  void* (*memalign)(size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*valloc)(size_t);
  void* (*pvalloc)(size_t);
  size_t (*malloc_usable_size)(void*);
};

[[gnu::visibility("hidden")]] extern constinit NextAllocator next;

// Looks all of them up. Called by the constructor, and by the first hook that comes before it.
void find_next_allocator() noexcept;

// Whether a block is of the static arena; such blocks are never given back.
[[nodiscard]] bool is_bootstrap_block(const void* block) noexcept;
[[nodiscard]] size_t bootstrap_block_bytes(const void* block) noexcept;
struct BootstrapArena {
  uintptr_t start, end;
};
[[nodiscard]] BootstrapArena bootstrap_arena() noexcept;

// Whether two functions lie in the same shared object.
[[nodiscard]] bool same_object(const void* a, const void* b) noexcept;

// The next definition of a function in the order of look-up, whatever dlsym is in the program. Null: there is none.
[[nodiscard]] void* find_next(const char* symbol) noexcept;

// The same, remembered in `known`.
template <typename Function>
[[nodiscard]] Function find_next_once(std::atomic<Function>& known, const char* symbol) noexcept {
  Function function = known.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<Function>(find_next(symbol));
    known.store(function, std::memory_order_relaxed);
  }
  return function;
}

// The next definition of a C++ operator, for the hook that was called from `caller`. Where libstdc++ came with a
// library that was opened RTLD_LOCAL, it is not in the scope behind us and is looked up from the caller's. Null:
// nowhere.
[[nodiscard]] void* find_next_operator(const char* symbol, const void* caller) noexcept;

}  // namespace seep
