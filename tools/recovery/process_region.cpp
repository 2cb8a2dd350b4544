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

bool begins_as_region(uint32_t pid, const Mapping& mapping) {
  char magic[sizeof kRegionMagic] = {};
  const iovec here{magic, sizeof magic};
  const iovec there{reinterpret_cast<void*>(mapping.start), sizeof magic};  // NOLINT: an address of the process.
  const ssize_t count = process_vm_readv(static_cast<pid_t>(pid), &here, 1, &there, 1, 0);
  return count == sizeof magic && std::memcmp(magic, kRegionMagic, sizeof magic) == 0;
}

std::string why_there_is_none(uint32_t pid, const ProcessMaps& maps) {
  const auto is_observer = [](const Mapping& mapping) { return mapping.path.ends_with("/libseep.so"); };
  if (std::none_of(maps.mappings.begin(), maps.mappings.end(), is_observer)) {
    return "is not observed: libseep.so is not loaded into it";
  }
  const auto is_private_region = [&](const Mapping& mapping) {
    return mapping.inode == 0 && mapping.readable && mapping.writable && begins_as_region(pid, mapping);
  };
  if (std::any_of(maps.mappings.begin(), maps.mappings.end(), is_private_region)) {
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
