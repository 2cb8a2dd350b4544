// SPDX-License-Identifier: Apache-2.0
// Boot id and pid namespace out of /proc.
#include "recording/host_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <filesystem>
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

Viewpoint this_viewpoint() {
  Viewpoint view;
  view.boot_id = this_boot_id();
  std::error_code failed;
  const bool shows_own = std::filesystem::read_symlink("/proc/self", failed) == std::to_string(getpid());
  struct stat status;
  const char* whose = shows_own ? "/proc/self/ns/pid" : "/proc/1/ns/pid";
  if (stat(whose, &status) == 0) view.pid_namespace = status.st_ino;
  return view;
}

}  // namespace seep
