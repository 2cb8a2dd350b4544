// SPDX-License-Identifier: Apache-2.0
//
// Memory of this process read by the kernel, which refuses where a load would raise a signal: what is not mapped, lies
// behind the end of its file, is a guard page, is broken, or belongs to a device. Runs inside the host, any thread.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "record/system.h"

namespace seep::leak_scan {

// How many of the bytes could be read; the rest of `into` is undefined.
inline size_t read_process_memory(uint64_t address, void* into, size_t bytes) noexcept {
  const iovec local{into, bytes};
  const iovec remote{reinterpret_cast<void*>(address), bytes};
  // By this thread's own number: the process's is its leader's, which may have ended.
  const long self = system_call(SYS_gettid);
  const long got = system_call(SYS_process_vm_readv, self, sys::as_long(&local), 1, sys::as_long(&remote), 1);
  return sys::failed(got) ? 0 : static_cast<size_t>(got);
}

inline bool is_readable(uint64_t address) noexcept {
  char byte;
  return read_process_memory(address, &byte, 1) == 1;
}

// Whether the page is mapped and in memory, so that to read it changes nothing.
inline bool is_resident(uint64_t address) noexcept {
  constexpr uint64_t kPageBytes = 4096;
  unsigned char resident = 0;
  const long result = system_call(SYS_mincore, static_cast<long>(address & ~(kPageBytes - 1)),
                                  static_cast<long>(kPageBytes), sys::as_long(&resident));
  return !sys::failed(result) && (resident & 1) != 0;
}

}  // namespace seep::leak_scan
