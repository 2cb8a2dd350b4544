// SPDX-License-Identifier: Apache-2.0
// Parsing /proc/PID/maps; see proc(5).
#include "recording/process_maps.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string_view>

namespace seep {
namespace {

// 0, or the errno that kept it from being read.
int read_whole(const std::string& path, std::string& text) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  char buffer[32 << 10];
  int cause = 0;
  while (true) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) cause = errno;
    if (count <= 0) break;
    text.append(buffer, static_cast<size_t>(count));
  }
  close(fd);
  return cause;
}

// The kernel writes a line feed in a name as \012, and nothing else so.
std::string without_escapes(const std::string& path) {
  constexpr std::string_view kEscape = "\\012";
  std::string text;
  for (size_t at = 0; at < path.size();) {
    const bool escaped = path.compare(at, kEscape.size(), kEscape) == 0;
    text += escaped ? '\n' : path[at];
    at += escaped ? kEscape.size() : 1;
  }
  return text;
}

// start-end permissions offset major:minor inode path
bool parse_line(const std::string& line, Mapping& mapping) {
  unsigned long long start = 0, end = 0, offset = 0, inode = 0;
  char permissions[5] = "";
  int path_at = 0;
  if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, permissions, &offset,
                  &mapping.device_major, &mapping.device_minor, &inode, &path_at) != 7) {
    return false;
  }
  mapping.start = start;
  mapping.end = end;
  mapping.readable = permissions[0] == 'r';
  mapping.writable = permissions[1] == 'w';
  mapping.inode = inode;
  std::string path = line.substr(static_cast<size_t>(path_at));
  constexpr char kRemoved[] = " (deleted)";
  mapping.removed = path.ends_with(kRemoved);
  if (mapping.removed) path.resize(path.size() - (sizeof kRemoved - 1));
  if (path.starts_with('/')) mapping.path = without_escapes(path);
  return true;
}

ProcessMaps maps_at(const std::string& path) {
  std::string text;
  const int cause = read_whole(path, text);
  if (cause == ENOENT || cause == ESRCH) return {};
  if (cause != 0) return {ProcessMaps::State::kRefused, {}};
  ProcessMaps maps{ProcessMaps::State::kRead, {}};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    Mapping mapping;
    if (parse_line(line, mapping)) maps.mappings.push_back(std::move(mapping));
  }
  return maps;
}

}  // namespace

ProcessMaps read_maps(const std::string& proc, const std::string& pid) {
  const std::string base = proc + "/" + pid;
  ProcessMaps maps = maps_at(base + "/maps");
  if (maps.state == ProcessMaps::State::kRefused || !maps.mappings.empty()) return maps;
  std::error_code failed;
  for (const auto& task : std::filesystem::directory_iterator(base + "/task", failed)) {
    ProcessMaps of_task = maps_at(task.path().string() + "/maps");
    if (of_task.state == ProcessMaps::State::kRefused || !of_task.mappings.empty()) return of_task;
  }
  return {};
}

}  // namespace seep
