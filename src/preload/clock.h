// SPDX-License-Identifier: Apache-2.0
//
// Time, from the kernel's own code in the vDSO: libc's clock_gettime may be interposed (libfaketime) and is then
// neither true nor safe to call from a malloc hook. Runs inside the host, any thread, signal handlers.
#pragma once

#include <cstdint>

namespace seep {

// Finds the vDSO. Once, before any other function here; without a vDSO these make system calls.
void start_clock() noexcept;

[[nodiscard]] uint64_t monotonic_ns() noexcept;         // To the nanosecond.
[[nodiscard]] uint64_t monotonic_coarse_ns() noexcept;  // Of the last timer tick; a few ns to read.
[[nodiscard]] uint64_t unix_ns() noexcept;
[[nodiscard]] uint64_t coarse_resolution_ns() noexcept;

}  // namespace seep
