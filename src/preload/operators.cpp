// SPDX-License-Identifier: Apache-2.0
//
// C++'s operator new and delete, every variant. libstdc++'s call malloc and free, which the hooks see, so they are
// jumped to; an allocator's own (tcmalloc, jemalloc, mimalloc) lie in one object with its malloc and do not call it, so
// here is where their blocks are seen. Which it is, is found at an operator's first call: C programs never look
// anything up.
//
// The names are the mangled ones of the Itanium C++ ABI, as plain C functions: their parameters are passed alike, and
// the compiler must not take these for operator new. Nothing here may be noexcept: the real ones throw through us. Runs
// inside the host, any thread, signal handlers.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "preload/next_allocator.h"
#include "preload/recorder.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))

namespace {

// Of one operator: the next definition, and whether it allocates (or frees) without our hooks seeing it.
struct NextOperator {
  std::atomic<void*> function{nullptr};
  std::atomic<bool> unseen{false};
};

// True where the operator must be recorded here. `find` runs once (or twice, if two threads meet).
__attribute__((noinline, cold)) void* find(NextOperator& next_operator, const char* symbol, const void* caller,
                                           const void* malloc_or_free) {
  void* found = seep::find_next_operator(symbol, caller);
  if (found == nullptr) return nullptr;
  next_operator.unseen.store(seep::same_object(found, malloc_or_free), std::memory_order_relaxed);
  next_operator.function.store(found, std::memory_order_release);
  return found;
}

// Without any definition behind us there is no C++ runtime that could throw; the caller gets what malloc gives.
template <typename... Arguments>
__attribute__((always_inline)) inline void* allocate(NextOperator& next_operator, const char* symbol,
                                                     const void* caller, size_t size, Arguments... arguments) {
  void* function = next_operator.function.load(std::memory_order_acquire);
  if (__builtin_expect(function == nullptr, false)) {
    function = find(next_operator, symbol, caller, reinterpret_cast<const void*>(seep::next.malloc));
    if (function == nullptr) return malloc(size);
  }
  const auto real = reinterpret_cast<void* (*)(size_t, Arguments...)>(function);
  if (!next_operator.unseen.load(std::memory_order_relaxed)) return real(size, arguments...);
  if (!seep::wants_sample(size)) return real(size, arguments...);
  const bool sampled = seep::is_sampled(size);
  void* block = real(size, arguments...);
  if (sampled && block != nullptr) seep::record_allocation(block, size);
  return block;
}

template <typename... Arguments>
__attribute__((always_inline)) inline void release(NextOperator& next_operator, const char* symbol, const void* caller,
                                                   void* block, Arguments... arguments) {
  void* function = next_operator.function.load(std::memory_order_acquire);
  if (__builtin_expect(function == nullptr, false)) {
    function = find(next_operator, symbol, caller, reinterpret_cast<const void*>(seep::next.free));
    if (function == nullptr) return free(block);
  }
  const auto real = reinterpret_cast<void (*)(void*, Arguments...)>(function);
  if (next_operator.unseen.load(std::memory_order_relaxed) && seep::maybe_recorded(block)) {
    const seep::TakenRecord record = seep::take_record(block);
    seep::count_freed(block, record, true);
    real(block, arguments...);
    return seep::note_given_back(block, record);
  }
  return real(block, arguments...);
}

}  // namespace

#define SEEP_CALLER __builtin_return_address(0)

#define SEEP_NEW(NAME, PARAMETERS, ...)                                                  \
  SEEP_HOOK void* NAME PARAMETERS {                                                      \
    static constinit NextOperator next_operator;                                         \
    return allocate(next_operator, #NAME, SEEP_CALLER, size __VA_OPT__(, ) __VA_ARGS__); \
  }

#define SEEP_DELETE(NAME, PARAMETERS, ...)                                               \
  SEEP_HOOK void NAME PARAMETERS {                                                       \
    static constinit NextOperator next_operator;                                         \
    return release(next_operator, #NAME, SEEP_CALLER, block __VA_OPT__(, ) __VA_ARGS__); \
  }

// A const std::nothrow_t& and a std::align_val_t, as they are passed.
using Nothrow = const void*;
using Alignment = size_t;

SEEP_NEW(_Znwm, (size_t size))
SEEP_NEW(_Znam, (size_t size))
SEEP_NEW(_ZnwmRKSt9nothrow_t, (size_t size, Nothrow nothrow), nothrow)
SEEP_NEW(_ZnamRKSt9nothrow_t, (size_t size, Nothrow nothrow), nothrow)
SEEP_NEW(_ZnwmSt11align_val_t, (size_t size, Alignment alignment), alignment)
SEEP_NEW(_ZnamSt11align_val_t, (size_t size, Alignment alignment), alignment)
SEEP_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, Alignment alignment, Nothrow nothrow), alignment, nothrow)
SEEP_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, Alignment alignment, Nothrow nothrow), alignment, nothrow)

SEEP_DELETE(_ZdlPv, (void* block))
SEEP_DELETE(_ZdaPv, (void* block))
SEEP_DELETE(_ZdlPvm, (void* block, size_t size), size)
SEEP_DELETE(_ZdaPvm, (void* block, size_t size), size)
SEEP_DELETE(_ZdlPvRKSt9nothrow_t, (void* block, Nothrow nothrow), nothrow)
SEEP_DELETE(_ZdaPvRKSt9nothrow_t, (void* block, Nothrow nothrow), nothrow)
SEEP_DELETE(_ZdlPvSt11align_val_t, (void* block, Alignment alignment), alignment)
SEEP_DELETE(_ZdaPvSt11align_val_t, (void* block, Alignment alignment), alignment)
SEEP_DELETE(_ZdlPvmSt11align_val_t, (void* block, size_t size, Alignment alignment), size, alignment)
SEEP_DELETE(_ZdaPvmSt11align_val_t, (void* block, size_t size, Alignment alignment), size, alignment)
SEEP_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void* block, Alignment alignment, Nothrow nothrow), alignment,
            nothrow)
SEEP_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void* block, Alignment alignment, Nothrow nothrow), alignment,
            nothrow)
