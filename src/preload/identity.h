// SPDX-License-Identifier: Apache-2.0
//
// Who this process is, for the header of its recording; and the environment that it was started with. Raw system calls
// and /proc; no libc state, so that it works before libc's own initializers have run. Runs inside the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/options.h"
#include "record/region.h"

namespace seep {

inline constexpr size_t kEnvironmentBytes = 256 << 10;

// SEEP_OPTIONS: from the environment, or from /proc/self/environ (read into `buffer` of kEnvironmentBytes) before libc
// has set that up. Null: not set.
[[nodiscard]] const char* find_options(char* buffer) noexcept;

// Whether our parent has libseep.so mapped, too.
[[nodiscard]] bool parent_is_observed() noexcept;

// From getrandom(2); where that has nothing yet, from the clock and addresses.
void fill_random(void* to, size_t bytes) noexcept;

// Inode of /proc/self/ns/pid; 0 where it cannot be read.
[[nodiscard]] uint64_t read_pid_namespace() noexcept;

// Of /proc/self/stat (proc(5)); zeros where it cannot be read.
struct ProcessStat {
  uint64_t parent, start_ticks, initial_stack;
};
[[nodiscard]] ProcessStat read_process_stat() noexcept;
// When the process started, by its recording: the kernel makes the whole of that file for each who asks.
[[nodiscard]] uint64_t process_start_ticks() noexcept;

// All fields but the region's path and what was inherited.
void fill_identity(Identity& identity) noexcept;

}  // namespace seep
