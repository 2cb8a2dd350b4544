// SPDX-License-Identifier: Apache-2.0
//
// The host limits its own memory. What we keep of address space for the region and do not use counts, and would be
// missing for the host: it is given back. And a process that has recorded nothing yet makes its region before, since it
// may not be able to afterwards, and what is lost then must be counted somewhere. (The limits that were there at the
// start are looked at when the region is made.) Runs inside the host, any thread. Must never change what the functions
// do.
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

bool is_of_memory(int resource) { return resource == RLIMIT_AS || resource == RLIMIT_DATA; }

void before(int resource) {
  const int saved = errno;
  if (is_of_memory(resource)) seep::make_region_ahead();
  errno = saved;
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
  before(resource);
  return after(resource, seep::find_next_once(next_set, "setrlimit")(resource, limit));
}

int host_setrlimit64(int resource, const void* limit) {
  before(resource);
  return after(resource, seep::find_next_once(next_set64, "setrlimit64")(resource, limit));
}

int host_prlimit(pid_t pid, int resource, const void* limit, void* old) {
  if (limit != nullptr) before(resource);
  return after(limit == nullptr ? -1 : resource,
               seep::find_next_once(next_change, "prlimit")(pid, resource, limit, old));
}

int host_prlimit64(pid_t pid, int resource, const void* limit, void* old) {
  if (limit != nullptr) before(resource);
  return after(limit == nullptr ? -1 : resource,
               seep::find_next_once(next_change64, "prlimit64")(pid, resource, limit, old));
}
