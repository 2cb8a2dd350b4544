// SPDX-License-Identifier: Apache-2.0
//
// Whether the memory cgroup of this process has room for what seep is about to take. At a cgroup's limit no call fails:
// the kernel kills, and it would be the host. So seep asks before each step and does without where it is close.
//
// Room is the limit minus the usage, plus the page cache of files, which the kernel gives up first; the least of that
// cgroup and all above it. Some must be left over for the host: a sixteenth of the limit, at most 4 MiB. Where nothing
// can be read (no /proc, no cgroup file system, another layout) there is no limit that could be known, so: room.
//
// Runs inside the host, any thread, signal handlers; raw system calls only, asked aside
// (aside.h). A refusal holds for a tenth of a second, so that a host at its limit does not pay for asking at every
// allocation; and where there is room for four times as much, 16 MiB may be taken in that time for one question.
#pragma once

#include <cstdint>

namespace seep {

[[nodiscard]] bool memory_has_room(uint64_t bytes) noexcept;

// Before a sandbox of the host forbids to ask: of what there is room for now, a quarter may be taken unasked
// afterwards.
void allow_memory_unasked() noexcept;

// The same for the cgroup that the file `self_cgroup` names (as /proc/self/cgroup; cgroups(7)), with the file systems
// mounted below `mount` (as /sys/fs/cgroup): version 2, or version 1 in its directory `memory`. Without the memory of
// refusals.
[[nodiscard]] bool cgroup_has_room(const char* self_cgroup, const char* mount, uint64_t bytes) noexcept;

}  // namespace seep
