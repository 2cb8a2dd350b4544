// SPDX-License-Identifier: Apache-2.0
//
// Which threads a process has, and what the kernel says of one: /proc/PID/task. Needs a descriptor for a moment, so in
// a process with threads it is called aside (record/aside.h), or from a helper with a table of its own.
// Runs inside the host; allocates nothing.
#pragma once

#include <cstdint>

namespace seep::leak_scan {

struct ThreadListing {
  bool readable;  // False: there is no such directory, no right to it, or no descriptor.
  bool complete;  // As many as the kernel says that there are: threads that end while it is read can hide others.
};

// Calls visit(argument, tid) for each thread that has not ended, the dead leader of a living process among them not.
[[nodiscard]] ThreadListing list_threads(long pid, void (*visit)(void* argument, int32_t tid), void* argument) noexcept;

template <typename Visit>
[[nodiscard]] ThreadListing for_each_thread(long pid, Visit visit) noexcept {
  return list_threads(
      pid, [](void* called, int32_t tid) { (*static_cast<Visit*>(called))(tid); }, &visit);
}

// Has ended, or is about to be reaped.
[[nodiscard]] bool has_ended(long pid, long tid) noexcept;
// False too where that cannot be read.
[[nodiscard]] bool blocks_signal(long pid, long tid, int signal) noexcept;

}  // namespace seep::leak_scan
