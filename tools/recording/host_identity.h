// SPDX-License-Identifier: Apache-2.0
// Which boot and which pid namespace this is: without them a pid says nothing. Reads /proc.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

std::string this_boot_id();     // 16 bytes; empty where unreadable.
uint64_t this_pid_namespace();  // An inode; 0 where unreadable.

// The pid namespace that everything else is inside of always has this inode (PROC_PID_INIT_INO).
inline constexpr uint64_t kInitialPidNamespace = 0xEFFFFFFC;

// From where processes are looked at. Tests lay out a /proc of their own.
struct Viewpoint {
  std::string proc = "/proc";
  std::string boot_id;         // Empty: unknown.
  uint64_t pid_namespace = 0;  // That whose pids `proc` shows; 0: unknown. A /proc may have been mounted elsewhere.
};

Viewpoint this_viewpoint();

}  // namespace seep
