// SPDX-License-Identifier: Apache-2.0
//
// What an exec is going to run, before it does: whether the kernel will take it at all, and whether libseep.so will be
// in it. Only looks at the file; a forecast, since the file may change until then. Raw system calls, 1 KiB of stack.
// Runs inside the host, on the thread that executes; also in a vfork child.
#pragma once

#include <cstddef>

namespace seep {

enum class ExecTarget {
  kNone,        // Not there, not executable, or no program: the exec will fail.
  kObservable,  // A dynamically linked program of our kind, or a script: the loader will preload us.
  kOther,       // Static, set-user-id, for another processor: it will run without us.
  kText,        // No format that the kernel knows: what execvp gives to the shell, and execve refuses.
};

[[nodiscard]] ExecTarget look_at_program(const char* path) noexcept;

// The same as execvp(3) looks for it: in PATH, unless there is a slash in its name.
[[nodiscard]] ExecTarget look_for_program(const char* name) noexcept;

}  // namespace seep
