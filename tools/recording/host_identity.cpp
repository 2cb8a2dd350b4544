// SPDX-License-Identifier: Apache-2.0
// Boot id and pid namespace out of /proc.
#include "recording/host_identity.h"

#include <sys/stat.h>

#include <cctype>
#include <fstream>

namespace seep {

std::string this_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text;
  std::getline(file, text);
  std::string bytes;
  int high = -1;
  for (const char digit : text) {
    if (!std::isxdigit(static_cast<unsigned char>(digit))) continue;
    const int value = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
    if (high >= 0) bytes += static_cast<char>(high << 4 | value);
    high = high >= 0 ? -1 : value;
  }
  return bytes;
}

uint64_t this_pid_namespace() {
  struct stat status;
  return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

}  // namespace seep
