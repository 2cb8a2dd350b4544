// SPDX-License-Identifier: Apache-2.0
//
// The hooks of the mmap family (host_memory.cpp). Runs inside the host.
#pragma once

namespace seep {

// Who is behind us. By the constructor; before that the hooks make the system call themselves. They never look it up:
// allocators call them with their locks held, and the loader's comes before those.
void find_next_memory_calls() noexcept;

}  // namespace seep
