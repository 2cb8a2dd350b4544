// SPDX-License-Identifier: Apache-2.0
//
// What a seccomp filter would do to our system calls. A filter is a program of classic BPF over `struct seccomp_data`
// (seccomp(2), bpf(4)); it is run here for each system call, with the number and the architecture known and all else
// unknown. Runs inside the host; pure functions of memory that is already copied.
#pragma once

#include <linux/filter.h>

#include "record/system_gate.h"

namespace seep {

// The most instructions that the kernel accepts (BPF_MAXINSNS).
inline constexpr unsigned kMostFilterInstructions = 4096;

// Whether the filter lets the call with this number pass, or fail with an error, whatever its arguments are. False too
// where it looks at the arguments, or is no valid program.
[[nodiscard]] bool filter_lets_pass(const sock_filter* program, unsigned instructions, unsigned number) noexcept;

// All system calls that it does not let pass.
[[nodiscard]] SystemGate::Denied denied_by_filter(const sock_filter* program, unsigned instructions) noexcept;

}  // namespace seep
