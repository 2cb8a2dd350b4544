// SPDX-License-Identifier: Apache-2.0
//
// The hooks of the oracle: the functions by which programs mostly allocate and free. C++'s operators call these.
// Where dlsym allocates while it looks up the next ones, there are some bytes of our own for it.
#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "oracle.h"
#include "single_steps.h"

#define ORACLE_HOOK extern "C" __attribute__((visibility("default")))

namespace {

struct Next {
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  void* (*memalign)(size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  int (*dlclose)(void*);
};
constinit Next next{};
constinit std::atomic<bool> is_found{false};

alignas(64) constinit char first_bytes[4096]{};
constinit size_t first_used = 0;
bool is_first(const void* block) {
  return reinterpret_cast<uintptr_t>(block) - reinterpret_cast<uintptr_t>(first_bytes) < sizeof first_bytes;
}

template <typename Function>
void find(Function& function, const char* symbol) {
  function = reinterpret_cast<Function>(dlsym(RTLD_NEXT, symbol));
}

// False: this is called from within the look-up. There is one thread, this early.
__attribute__((noinline, cold)) bool find_all() {
  static constinit bool looks = false;
  if (looks) return false;
  looks = true;
  find(next.malloc, "malloc");
  find(next.free, "free");
  find(next.calloc, "calloc");
  find(next.realloc, "realloc");
  find(next.memalign, "memalign");
  find(next.aligned_alloc, "aligned_alloc");
  find(next.posix_memalign, "posix_memalign");
  find(next.dlclose, "dlclose");
  is_found.store(true, std::memory_order_release);
  return true;
}

__attribute__((always_inline)) inline bool found() {
  return __builtin_expect(is_found.load(std::memory_order_acquire), true) || find_all();
}

void* first_block(size_t bytes) {
  if (first_used + bytes > sizeof first_bytes) return nullptr;
  void* block = first_bytes + first_used;
  first_used += (bytes + 63) & ~size_t{63};
  return block;
}

}  // namespace

#define ORACLE_COMPARE \
  if (seep::compare_here()) seep::step_from_here()

ORACLE_HOOK void* malloc(size_t size) {
  if (!found()) return first_block(size);
  ORACLE_COMPARE;
  return next.malloc(size);
}

ORACLE_HOOK void free(void* block) {
  if (is_first(block) || !found()) return;
  ORACLE_COMPARE;
  next.free(block);
}

ORACLE_HOOK void* calloc(size_t count, size_t size) {
  if (!found()) return first_block(count * size);
  ORACLE_COMPARE;
  return next.calloc(count, size);
}

ORACLE_HOOK void* realloc(void* block, size_t size) {
  if (is_first(block) || !found()) __builtin_trap();  // dlsym does not.
  ORACLE_COMPARE;
  return next.realloc(block, size);
}

ORACLE_HOOK void* memalign(size_t alignment, size_t size) {
  if (!found()) return nullptr;
  ORACLE_COMPARE;
  return next.memalign(alignment, size);
}

ORACLE_HOOK void* aligned_alloc(size_t alignment, size_t size) {
  if (!found()) return nullptr;
  ORACLE_COMPARE;
  return next.aligned_alloc(alignment, size);
}

ORACLE_HOOK int posix_memalign(void** block, size_t alignment, size_t size) {
  if (!found()) return 12;  // ENOMEM
  ORACLE_COMPARE;
  return next.posix_memalign(block, alignment, size);
}

ORACLE_HOOK int dlclose(void* handle) {
  if (!found()) return -1;
  seep::forget_loaded_code();
  const int result = next.dlclose(handle);
  seep::forget_loaded_code();
  return result;
}
