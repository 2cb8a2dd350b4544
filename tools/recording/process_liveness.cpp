// SPDX-License-Identifier: Apache-2.0
// Identity of processes by what they have mapped, by boot, namespace, number and start time.
#include "recording/process_liveness.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "recording/process_maps.h"

namespace seep {
namespace {

struct ProcessStatus {
  char state = 'X';
  uint64_t threads = 0;
  uint64_t start_ticks = 0;

  // One whose first thread has ended looks like a zombie while the others run.
  bool runs() const { return (state != 'Z' && state != 'X') || threads > 1; }
};

// Fields 3, 20 and 22 of /proc/PID/stat. The name in field 2 may hold spaces and parentheses: they count from its end.
ProcessStatus status_of(const std::string& proc, uint32_t pid) {
  std::ifstream file(proc + "/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(line.substr(name_end + 1));
  ProcessStatus status;
  fields >> status.state;
  std::string skipped;
  for (int field = 4; field < 20; ++field) fields >> skipped;
  fields >> status.threads >> skipped >> status.start_ticks;
  return status;
}

std::string inode_key(uint32_t device_major, uint32_t device_minor, uint64_t inode) {
  return std::to_string(device_major) + ":" + std::to_string(device_minor) + ":" + std::to_string(inode);
}

std::string inode_key(const RegionFacts& region) {
  return inode_key(major(region.device), minor(region.device), region.inode);
}

std::string inode_key(const Mapping& mapping) {
  return inode_key(mapping.device_major, mapping.device_minor, mapping.inode);
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool maps_region(const ProcessMaps& maps, const RegionFacts& region) {
  const std::string name = region.recorded_name(), key = inode_key(region);
  return std::any_of(maps.mappings.begin(), maps.mappings.end(), [&](const Mapping& mapping) {
    return !mapping.path.empty() && (base_name(mapping.path) == name || inode_key(mapping) == key);
  });
}

// Whether it is in a pid namespace inside that of /proc: then it has more than one number. True where unreadable.
bool may_be_nested(const std::string& proc, const std::string& pid) {
  std::ifstream file(proc + "/" + pid + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream numbers(line.substr(6));
    std::string first, second;
    return !(numbers >> first) || (numbers >> second);
  }
  return true;
}

bool is_number(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

bool is_of_another_boot(const Identity& identity, const std::string& boot_id) {
  static constexpr uint8_t kUnknown[sizeof identity.boot_id] = {};
  if (boot_id.size() != sizeof kUnknown || std::memcmp(identity.boot_id, kUnknown, sizeof kUnknown) == 0) return false;
  return std::memcmp(identity.boot_id, boot_id.data(), sizeof kUnknown) != 0;
}

}  // namespace

Liveness LivenessJudge::judge(const RegionFacts& region) {
  const Identity& identity = region.identity;
  if (region.ready && is_of_another_boot(identity, view_.boot_id)) return Liveness::kDead;
  const bool same_namespace = identity.pid_namespace != 0 && identity.pid_namespace == view_.pid_namespace;
  return region.ready && same_namespace && identity.pid != 0 ? by_pid(region) : by_all_processes(region);
}

Liveness LivenessJudge::by_pid(const RegionFacts& region) const {
  const Identity& identity = region.identity;
  const ProcessMaps maps = read_maps(view_.proc, std::to_string(identity.pid));
  if (maps.state == ProcessMaps::State::kGone) return Liveness::kDead;
  if (maps.state == ProcessMaps::State::kRead) return maps_region(maps, region) ? Liveness::kAlive : Liveness::kDead;
  const ProcessStatus status = status_of(view_.proc, identity.pid);
  const bool same = identity.process_start_ticks == 0 || status.start_ticks == identity.process_start_ticks;
  return same && status.runs() ? Liveness::kAlive : Liveness::kDead;
}

Liveness LivenessJudge::by_all_processes(const RegionFacts& region) {
  if (looked_at_ <= region.read_at) look_at_all_processes();
  if (mapped_names_.contains(region.recorded_name()) || mapped_inodes_.contains(inode_key(region))) {
    return Liveness::kAlive;
  }
  // Whoever maps it is in its namespace, so what cannot be looked into outside all others is none of them.
  const bool is_nested = region.ready && region.identity.pid_namespace != 0;
  const bool sure = view_.pid_namespace == kInitialPidNamespace && (is_nested ? saw_all_nested_ : saw_all_);
  return sure ? Liveness::kDead : Liveness::kUndecided;
}

// Where /proc hides processes from other users (hidepid), the first one is hidden, too.
void LivenessJudge::look_at_all_processes() {
  looked_at_ = std::chrono::steady_clock::now();
  mapped_names_.clear();
  mapped_inodes_.clear();
  bool saw_first = false;
  saw_all_ = saw_all_nested_ = true;
  std::error_code failed;
  std::filesystem::directory_iterator entries(view_.proc, failed);
  for (; !failed && entries != std::filesystem::directory_iterator(); entries.increment(failed)) {
    const std::string pid = entries->path().filename().string();
    if (!is_number(pid)) continue;
    saw_first = saw_first || pid == "1";
    look_at(pid);
  }
  if (saw_first && !failed) return;
  saw_all_ = saw_all_nested_ = false;
}

void LivenessJudge::look_at(const std::string& pid) {
  const ProcessMaps maps = read_maps(view_.proc, pid);
  if (maps.state == ProcessMaps::State::kRefused) {
    saw_all_ = false;
    saw_all_nested_ = saw_all_nested_ && !may_be_nested(view_.proc, pid);
  }
  for (const Mapping& mapping : maps.mappings) {
    if (!mapping.path.ends_with(".region")) continue;
    mapped_names_.insert(base_name(mapping.path));
    mapped_inodes_.insert(inode_key(mapping));
  }
}

bool is_running(const ProcessRecording& process) {
  const proto::Header& header = process.header();
  if (header.pid() == 0 || header.process_start_ticks() == 0) return false;
  const Viewpoint view = this_viewpoint();
  if (header.boot_id().empty() || header.boot_id() != view.boot_id) return false;
  if (header.pid_namespace() == 0 || header.pid_namespace() != view.pid_namespace) return false;
  const ProcessStatus status = status_of(view.proc, header.pid());
  return status.start_ticks == header.process_start_ticks() && status.runs();
}

uint64_t start_ticks_of(uint32_t pid) { return status_of("/proc", pid).start_ticks; }

}  // namespace seep
