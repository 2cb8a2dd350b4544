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

inline constexpr unsigned kStartTimeField = 22;
inline constexpr unsigned kParentField = 4;

// Field `number` of /proc/self/stat (proc(5)), for numbers from 3; 0 where it cannot be read.
[[nodiscard]] uint64_t read_stat_field(unsigned number) noexcept;

// All fields but the region's path and what was inherited.
void fill_identity(Identity& identity) noexcept;

}  // namespace seep
