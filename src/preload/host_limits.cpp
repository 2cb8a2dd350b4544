// SPDX-License-Identifier: Apache-2.0
//
// The host limits its own address space, after we have kept some for the region: what is kept and not used counts, and
// would be missing for the host's own memory. So it is given back first. (The limit that was there at the start is
// looked at when the region is made.) Runs inside the host, any thread. Must never change what the functions do.
#include <sys/resource.h>

#include <cerrno>

#include "preload/next_allocator.h"
#include "preload/recording.h"
#include "record/system.h"

#define SEEP_HOOK extern "C" __attribute__((visibility("default")))

namespace {

// The limits of 32-bit programs and those with 64 bits are one type on the 64-bit Linux that we run on.
static_assert(sizeof(rlimit) == sizeof(rlimit64));

using SetFunction = int (*)(int, const void*);
using ChangeFunction = int (*)(pid_t, int, const void*, void*);

template <typename Function>
Function next_function(std::atomic<Function>& next, const char* symbol) {
  Function function = next.load(std::memory_order_relaxed);
  if (function == nullptr) {
    function = reinterpret_cast<Function>(seep::find_next(symbol));
    next.store(function, std::memory_order_relaxed);
  }
  return function;
}

// After a call that succeeded: asks what is, since the arguments may be gone.
int after(int resource, int result) {
  const int saved = errno;
  if (resource == RLIMIT_AS && result == 0 && seep::sys::resource_limit(RLIMIT_AS) != RLIM64_INFINITY) {
    seep::give_back_address_space();
  }
  errno = saved;
  return result;
}

constinit std::atomic<SetFunction> next_set{nullptr}, next_set64{nullptr};
constinit std::atomic<ChangeFunction> next_change{nullptr}, next_change64{nullptr};

}  // namespace

SEEP_HOOK int host_setrlimit(int resource, const void* limit) __asm__("setrlimit");
SEEP_HOOK int host_setrlimit64(int resource, const void* limit) __asm__("setrlimit64");
SEEP_HOOK int host_prlimit(pid_t pid, int resource, const void* limit, void* old) __asm__("prlimit");
SEEP_HOOK int host_prlimit64(pid_t pid, int resource, const void* limit, void* old) __asm__("prlimit64");

int host_setrlimit(int resource, const void* limit) {
  return after(resource, next_function(next_set, "setrlimit")(resource, limit));
}

int host_setrlimit64(int resource, const void* limit) {
  return after(resource, next_function(next_set64, "setrlimit64")(resource, limit));
}

int host_prlimit(pid_t pid, int resource, const void* limit, void* old) {
  return after(limit == nullptr ? -1 : resource, next_function(next_change, "prlimit")(pid, resource, limit, old));
}

int host_prlimit64(pid_t pid, int resource, const void* limit, void* old) {
  return after(limit == nullptr ? -1 : resource, next_function(next_change64, "prlimit64")(pid, resource, limit, old));
}
