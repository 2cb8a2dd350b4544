// SPDX-License-Identifier: Apache-2.0
// Finding the memory cgroup and its counter.
#include "launch/oom_kills.h"

#include <fstream>
#include <sstream>

namespace seep {
namespace {

// The line "oom_kill N" of a file that counts events.
std::optional<uint64_t> counted_in(const std::string& path) {
  std::ifstream file(path);
  std::string name;
  for (uint64_t count = 0; file >> name >> count;) {
    if (name == "oom_kill") return count;
  }
  return std::nullopt;
}

bool lists_memory(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');) {
    if (name == "memory") return true;
  }
  return false;
}

// A container may be shown a path that holds outside, while only its own cgroup is mounted.
std::optional<uint64_t> counted_below(const std::string& mount, const std::string& cgroup, const std::string& file) {
  if (const auto count = counted_in(mount + cgroup + "/" + file)) return count;
  return counted_in(mount + "/" + file);
}

}  // namespace

std::optional<uint64_t> oom_kills(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::optional<uint64_t> unified;
  for (std::string line; std::getline(file, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), cgroup = line.substr(second + 1);
    if (lists_memory(controllers)) return counted_below(root + "/sys/fs/cgroup/memory", cgroup, "memory.oom_control");
    if (controllers.empty()) unified = counted_below(root + "/sys/fs/cgroup", cgroup, "memory.events");
  }
  return unified;
}

}  // namespace seep
