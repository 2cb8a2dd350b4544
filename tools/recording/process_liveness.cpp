// SPDX-License-Identifier: Apache-2.0
// Identity of processes by boot, namespace, number and start time.
#include "recording/process_liveness.h"

#include <fstream>
#include <sstream>
#include <string>

#include "recording/host_identity.h"

namespace seep {
namespace {

struct ProcessStatus {
  char state = 'X';
  uint64_t start_ticks = 0;
};

// Fields 3 and 22 of /proc/PID/stat. The name in field 2 may hold spaces and parentheses: they count from its end.
ProcessStatus status_of(uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(line.substr(name_end + 1));
  ProcessStatus status;
  fields >> status.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  fields >> status.start_ticks;
  return status;
}

}  // namespace

bool is_running(const ProcessRecording& process) {
  const proto::Header& header = process.header();
  if (header.pid() == 0 || header.process_start_ticks() == 0) return false;
  if (header.boot_id().empty() || header.boot_id() != this_boot_id()) return false;
  if (header.pid_namespace() == 0 || header.pid_namespace() != this_pid_namespace()) return false;
  const ProcessStatus status = status_of(header.pid());
  return status.start_ticks == header.process_start_ticks() && status.state != 'Z' && status.state != 'X';
}

}  // namespace seep
