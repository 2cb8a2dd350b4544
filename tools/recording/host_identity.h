// SPDX-License-Identifier: Apache-2.0
// Which boot and which pid namespace this is: without them a pid says nothing. Reads /proc.
#pragma once

#include <cstdint>
#include <string>

namespace seep {

std::string this_boot_id();     // 16 bytes; empty where unreadable.
uint64_t this_pid_namespace();  // An inode; 0 where unreadable.

}  // namespace seep
