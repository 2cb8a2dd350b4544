// SPDX-License-Identifier: Apache-2.0
// From a pid to a region.
#include "recovery/process_region.h"

#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "error.h"
#include "record/region.h"
#include "recording/process_maps.h"

namespace seep {
namespace {

constexpr char kRefused[] = "cannot be looked into: it belongs to another user";

Error about(uint32_t pid, const std::string& what) {
  return Error(ExitCode::kUnreadable, "process " + std::to_string(pid), what);
}

bool same_file(const std::string& left, const std::string& right, uint32_t pid) {
  struct stat left_status, right_status;
  if (stat(left.c_str(), &left_status) != 0 || stat(right.c_str(), &right_status) != 0) {
    const int cause = errno;
    throw about(pid, cause == EACCES || cause == EPERM ? kRefused : std::strerror(cause));
  }
  return left_status.st_dev == right_status.st_dev && left_status.st_ino == right_status.st_ino;
}

bool is_region(const Mapping& mapping) {
  const std::string name = mapping.path.substr(mapping.path.rfind('/') + 1);
  return name.starts_with("seep.") && name.ends_with(".region");
}

bool is_region_at(uint32_t pid, uint64_t address) {
  char magic[sizeof kRegionMagic] = {};
  const iovec here{magic, sizeof magic};
  const iovec there{reinterpret_cast<void*>(address), sizeof magic};  // An address of the process.
  const ssize_t count = process_vm_readv(static_cast<pid_t>(pid), &here, 1, &there, 1, 0);
  return count == sizeof magic && std::memcmp(magic, kRegionMagic, sizeof magic) == 0;
}

bool is_anonymous(const Mapping& mapping) { return mapping.inode == 0 && mapping.path.empty(); }

// What has been taken of a region lies before what is only reserved. The kernel may show it as one with what lies
// before.
bool holds_private_region(uint32_t pid, const Mapping& mapping, const Mapping& next) {
  constexpr uint64_t kPageBytes = 4096, kMostBytes = 16 << 20;
  const bool is_like_one = is_anonymous(mapping) && mapping.readable && mapping.writable && is_anonymous(next) &&
                           !next.readable && next.start == mapping.end;
  if (!is_like_one) return false;
  const uint64_t until = std::min(mapping.end, mapping.start + kMostBytes);
  for (uint64_t address = mapping.start; address < until; address += kPageBytes) {
    if (is_region_at(pid, address)) return true;
  }
  return false;
}

bool records_privately(uint32_t pid, const ProcessMaps& maps) {
  for (size_t index = 1; index < maps.mappings.size(); ++index) {
    if (holds_private_region(pid, maps.mappings[index - 1], maps.mappings[index])) return true;
  }
  return false;
}

std::string why_there_is_none(uint32_t pid, const ProcessMaps& maps) {
  const auto is_observer = [](const Mapping& mapping) { return mapping.path.ends_with("/libseep.so"); };
  if (std::none_of(maps.mappings.begin(), maps.mappings.end(), is_observer)) {
    return "is not observed: libseep.so is not loaded into it";
  }
  if (records_privately(pid, maps)) {
    return "is recorded in its private memory, which cannot be read from outside (there was no room for a region)";
  }
  return "is observed, and nothing has been recorded yet";
}

}  // namespace

std::string root_of(uint32_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  const bool same = same_file(process + "/ns/mnt", "/proc/self/ns/mnt", pid) && same_file(process + "/root/", "/", pid);
  return same ? "" : process + "/root";
}

ProcessRegion region_of_process(uint32_t pid) {
  const ProcessMaps maps = read_maps("/proc", std::to_string(pid));
  if (maps.state == ProcessMaps::State::kGone) throw about(pid, "is not there");
  if (maps.state == ProcessMaps::State::kRefused) throw about(pid, kRefused);
  const auto found = std::find_if(maps.mappings.begin(), maps.mappings.end(), is_region);
  if (found == maps.mappings.end()) throw about(pid, why_there_is_none(pid, maps));
  if (found->removed) throw about(pid, "has lost its region: " + found->path + " was removed");
  const std::string root = root_of(pid);
  return {root + found->path, root};
}

}  // namespace seep
