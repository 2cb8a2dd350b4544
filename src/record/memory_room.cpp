// SPDX-License-Identifier: Apache-2.0
//
// Reading the limits of cgroups; see memory_room.h.
#include "record/memory_room.h"

#include <time.h>

#include <atomic>
#include <cstring>

#include "record/aside.h"
#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr uint64_t kMostReserveBytes = 4 << 20;
constexpr uint64_t kRefusalHoldsNs = 100'000'000;
constexpr uint64_t kNoLimit = uint64_t{1} << 62;  // Version 1 says "none" by a number near 2^63.
constexpr size_t kPathBytes = 768;

struct Version {
  const char* directory;  // Below the mount.
  const char* limit;
  const char* usage;
  const char* file_cache[2];  // Lines of memory.stat, each with the end of the line before.
};
constexpr Version kVersion1 = {
    "/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes", {"\ntotal_inactive_file ", "\ntotal_active_file "}};
constexpr Version kVersion2 = {"", "/memory.max", "/memory.current", {"\ninactive_file ", "\nactive_file "}};

// The file's beginning as text; false where it cannot be read.
bool read_text(const char* path, char* text, size_t bytes) {
  const long fd = sys::open(path, O_RDONLY);
  if (sys::failed(fd)) return false;
  const long got = sys::read_all(fd, text, bytes - 1);
  sys::close(fd);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

uint64_t number_at(const char* text) { return read_decimal(text); }

// One cgroup's directory; its files are read by name.
class Cgroup {
 public:
  Cgroup(const Version& version, const char* directory) : version_(version), directory_(directory) {}

  [[nodiscard]] bool has_room(uint64_t bytes) {
    char text[32];
    if (!read(version_.limit, text, sizeof text) || text[0] < '0' || text[0] > '9') return true;
    const uint64_t limit = number_at(text);
    if (limit >= kNoLimit || !read(version_.usage, text, sizeof text)) return true;
    const uint64_t usage = number_at(text);
    const uint64_t reserve = limit / 16 < kMostReserveBytes ? limit / 16 : kMostReserveBytes;
    const uint64_t free_bytes = limit > usage ? limit - usage : 0;
    if (free_bytes >= bytes + reserve) return true;
    return free_bytes + file_cache_bytes() >= bytes + reserve;
  }

 private:
  bool read(const char* name, char* text, size_t bytes) {
    char path[kPathBytes + 32];
    TextBuilder builder(path, sizeof path);
    builder.add(directory_);
    builder.add(name);
    return builder.complete() && read_text(path, text, bytes);
  }

  uint64_t file_cache_bytes() {
    char text[2048];
    uint64_t bytes = 0;
    if (!read("/memory.stat", text, sizeof text)) return 0;
    for (const char* name : version_.file_cache) {
      const void* line = memmem(text, strlen(text), name, strlen(name));
      if (line != nullptr) bytes += number_at(static_cast<const char*>(line) + strlen(name));
    }
    return bytes;
  }

  const Version& version_;
  const char* directory_;
};

// The cgroup at `path` and all above it. A path that is not there is that of another namespace: then its ancestors are
// what this one sees, at the latest the mount itself.
bool all_have_room(const Version& version, const char* mount, const char* path, uint64_t bytes) {
  char directory[kPathBytes];
  TextBuilder builder(directory, sizeof directory);
  builder.add(mount);
  builder.add(version.directory);
  const size_t root_bytes = builder.length();
  builder.add(path);
  if (!builder.complete()) return true;
  for (size_t length = builder.length();;) {
    if (!Cgroup(version, directory).has_room(bytes)) return false;
    while (length > root_bytes && directory[length - 1] != '/') --length;
    if (length <= root_bytes) return true;
    directory[--length] = '\0';
  }
}

// Whether the comma-separated list from `at` to the next colon has "memory" in it.
bool names_memory(const char* at) {
  static constexpr char kName[] = "memory";
  constexpr size_t kBytes = sizeof kName - 1;
  for (; *at != ':' && *at != '\0'; at += *at == ',') {
    if (strncmp(at, kName, kBytes) == 0 && (at[kBytes] == ',' || at[kBytes] == ':')) return true;
    while (*at != ',' && *at != ':' && *at != '\0') ++at;
  }
  return false;
}

uint64_t coarse_now_ns() {
  timespec now{};
  system_call(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, sys::as_long(&now));
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

constinit std::atomic<uint64_t> refused_until_ns{0};
constinit std::atomic<uint64_t> allowance_bytes{0};
// Where there is room for much, a part of that may be taken unasked for a moment: asking costs some fifteen calls.
constinit std::atomic<uint64_t> granted_until_ns{0}, granted_bytes{0};
constexpr uint64_t kMuchBytes = 64 << 20, kGrantBytes = 16 << 20, kGrantHoldsNs = 100'000'000;

bool take_of(std::atomic<uint64_t>& allowed_bytes, uint64_t bytes) {
  uint64_t left = allowed_bytes.load(std::memory_order_relaxed);
  while (left >= bytes) {
    if (allowed_bytes.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool ask(uint64_t bytes) {
  bool has_room = false;
  return call_aside([&] { has_room = cgroup_has_room("/proc/self/cgroup", "/sys/fs/cgroup", bytes); }) && has_room;
}

}  // namespace

bool cgroup_has_room(const char* self_cgroup, const char* mount, uint64_t bytes) noexcept {
  char text[kPathBytes * 2];
  if (!read_text(self_cgroup, text, sizeof text)) return true;
  // Lines of number:controllers:path.
  for (char* line = text; *line != '\0';) {
    char* end = strchr(line, '\n');
    if (end == nullptr) break;  // Cut: more lines than any host has.
    *end = '\0';
    const char* controllers = strchr(line, ':');
    const char* path = controllers == nullptr ? nullptr : strchr(controllers + 1, ':');
    if (path != nullptr) {
      const bool unified = path == controllers + 1;
      if ((unified && !all_have_room(kVersion2, mount, path + 1, bytes)) ||
          (names_memory(controllers + 1) && !all_have_room(kVersion1, mount, path + 1, bytes))) {
        return false;
      }
    }
    line = end + 1;
  }
  return true;
}

void allow_memory_unasked() noexcept {
  constexpr uint64_t kMostBytes = uint64_t{16} << 30, kLeastBytes = 1 << 20;
  for (uint64_t bytes = kMostBytes; bytes >= kLeastBytes; bytes /= 2) {
    if (!memory_has_room(bytes)) {
      refused_until_ns.store(0, std::memory_order_relaxed);
      continue;
    }
    allowance_bytes.store(bytes / 4, std::memory_order_relaxed);
    return;
  }
}

bool memory_has_room(uint64_t bytes) noexcept {
  if (system_gate.denies(SYS_openat) || system_gate.denies(SYS_read)) return take_of(allowance_bytes, bytes);
  const uint64_t now_ns = coarse_now_ns();
  if (now_ns < refused_until_ns.load(std::memory_order_relaxed)) return false;
  if (now_ns < granted_until_ns.load(std::memory_order_relaxed) && take_of(granted_bytes, bytes)) return true;
  if (bytes < kGrantBytes && ask(kMuchBytes)) {
    granted_bytes.store(kGrantBytes - bytes, std::memory_order_relaxed);
    granted_until_ns.store(now_ns + kGrantHoldsNs, std::memory_order_relaxed);
    return true;
  }
  if (ask(bytes)) return true;
  refused_until_ns.store(coarse_now_ns() + kRefusalHoldsNs, std::memory_order_relaxed);
  return false;
}

}  // namespace seep
