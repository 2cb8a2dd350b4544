// SPDX-License-Identifier: Apache-2.0
//
// C++'s operator new and delete, every variant. A hook is one jump to where its operator's `target` points:
//
//   first       looks the next definition up, once, and points `target` at one of these:
//   the next    libstdc++'s calls malloc and free, which the hooks see
//   recorded    an allocator's own (tcmalloc, jemalloc, mimalloc) lies in one object with its malloc and does not call
//               it, so here is where its blocks are seen
//
// Looked up at an operator's first call: C programs never look anything up.
//
// The names are the mangled ones of the Itanium C++ ABI, as plain C functions: their parameters are passed alike, and
// the compiler must not take these for operator new. Nothing here may be noexcept: the real ones throw through us. Runs
// inside the host, any thread, signal handlers.
#include <cstddef>
#include <cstdint>

#include "preload/next_allocator.h"
#include "preload/recorder.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))
#define SEEP_SLOW __attribute__((noinline, cold)) static

namespace {

template <typename Function>
Function* find(const char* symbol, const void* caller) {
  seep::find_next_allocator();  // Where it is already known who that is, this does nothing.
  return reinterpret_cast<Function*>(seep::find_next_operator(symbol, caller));
}

// `real` before `target`, which leads to who reads it. Two threads that meet here store the same.
template <typename Function>
void set(Function*& real, Function*& target, Function* found, Function* leads_to) {
  __atomic_store_n(&real, found, __ATOMIC_RELEASE);
  __atomic_store_n(&target, leads_to, __ATOMIC_RELEASE);
}

template <typename Function, typename Known>
bool lies_beside(Function* function, Known* known) {
  return seep::same_object(reinterpret_cast<const void*>(function), reinterpret_cast<const void*>(known));
}

// `Name` has the symbol, and makes the names of these functions those of the operator's. `target` and `real` are read
// plainly, so that a compiler makes one jump of it: each is one word, which changes once.
template <typename Name, typename... Arguments>
struct New {
  using Function = void*(size_t, Arguments...);

  // Jumped to from the hook: the return address is that of the hook's caller. Without any definition behind us there is
  // no C++ runtime that could throw; the caller gets what malloc gives.
  SEEP_SLOW void* first(size_t size, Arguments... arguments) {
    Function* found = find<Function>(Name::text, __builtin_return_address(0));
    if (found == nullptr) return malloc(size);
    set(real, target, found, lies_beside(found, seep::next.malloc) ? recorded : found);
    return target(size, arguments...);
  }

  static void* recorded(size_t size, Arguments... arguments) {
    if (seep::wants_sample(size)) return sampled(size, arguments...);
    return real(size, arguments...);
  }

  SEEP_SLOW void* sampled(size_t size, Arguments... arguments) {
    const bool sampled = seep::is_sampled(size);
    void* block = real(size, arguments...);
    if (sampled && block != nullptr) seep::record_allocation(block, size);
    return block;
  }

  static constinit inline Function* target = first;
  static constinit inline Function* real = first;  // Also what a processor that reorders loads may still see.
};

template <typename Name, typename... Arguments>
struct Delete {
  using Function = void(void*, Arguments...);

  SEEP_SLOW void first(void* block, Arguments... arguments) {
    Function* found = find<Function>(Name::text, __builtin_return_address(0));
    if (found == nullptr) return free(block);
    set(real, target, found, lies_beside(found, seep::next.free) ? recorded : found);
    return target(block, arguments...);
  }

  static void recorded(void* block, Arguments... arguments) {
    if (seep::maybe_recorded(block)) return taken(block, arguments...);
    return real(block, arguments...);
  }

  SEEP_SLOW void taken(void* block, Arguments... arguments) {
    const seep::TakenRecord record = seep::take_record(block);
    seep::count_freed(block, record, true);
    real(block, arguments...);
    seep::note_given_back(block, record);
  }

  static constinit inline Function* target = first;
  static constinit inline Function* real = first;  // Also what a processor that reorders loads may still see.
};

template <typename Name, typename... Arguments>
__attribute__((always_inline)) inline void* call_new(size_t size, Arguments... arguments) {
  return New<Name, Arguments...>::target(size, arguments...);
}

template <typename Name, typename... Arguments>
__attribute__((always_inline)) inline void call_delete(void* block, Arguments... arguments) {
  return Delete<Name, Arguments...>::target(block, arguments...);
}

}  // namespace

#define SEEP_NAME(NAME)                        \
  namespace {                                  \
  struct Of##NAME {                            \
    static constexpr const char* text = #NAME; \
  };                                           \
  }

#define SEEP_NEW(NAME, PARAMETERS, ...) \
  SEEP_NAME(NAME)                       \
  SEEP_HOOK void* NAME PARAMETERS { return call_new<Of##NAME>(size __VA_OPT__(, ) __VA_ARGS__); }

#define SEEP_DELETE(NAME, PARAMETERS, ...) \
  SEEP_NAME(NAME)                          \
  SEEP_HOOK void NAME PARAMETERS { return call_delete<Of##NAME>(block __VA_OPT__(, ) __VA_ARGS__); }

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
