// SPDX-License-Identifier: Apache-2.0
//
// Who this process is; see identity.h.
#include "preload/identity.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "preload/clock.h"
#include "preload/recording.h"
#include "preload/snapshots.h"
#include "preload/stream_name.h"
#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr char kOptionsVariable[] = "SEEP_OPTIONS=";
constexpr size_t kVariableBytes = sizeof kOptionsVariable - 1;

long read_file(const char* path, char* buffer, size_t bytes) {
  const long fd = sys::open(path, O_RDONLY);
  if (sys::failed(fd)) return 0;
  const long got = sys::read_all(fd, buffer, bytes - 1);
  sys::close(fd);
  buffer[got > 0 ? got : 0] = '\0';
  return got > 0 ? got : 0;
}

void read_boot_id(uint8_t (&boot_id)[16]) {
  char text[64];
  unsigned digits = 0;
  if (read_file("/proc/sys/kernel/random/boot_id", text, sizeof text) == 0) return;
  for (const char* at = text; *at != '\0' && digits < 32; ++at) {
    const int digit = hex_digit(*at);
    if (digit < 0) continue;
    boot_id[digits / 2] = static_cast<uint8_t>(boot_id[digits / 2] << 4 | digit);
    ++digits;
  }
}

// Field `number`, from 3 on, behind the second one's end.
uint64_t stat_field(const char* at, unsigned number) {
  for (unsigned field = 2; at != nullptr && field < number; ++field) at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : read_decimal(++at);
}

void read_executable(char* to, size_t bytes) {
  const long length = sys::read_link("/proc/self/exe", to, bytes - 1);
  if (sys::failed(length)) to[0] = '\0';
  else to[length] = '\0';
}

}  // namespace

const char* find_options(char* buffer) noexcept {
  if (environ != nullptr) {
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (strncmp(*variable, kOptionsVariable, kVariableBytes) == 0) return *variable + kVariableBytes;
    }
    return nullptr;
  }
  const long bytes = read_file("/proc/self/environ", buffer, kEnvironmentBytes);
  for (const char* at = buffer; at < buffer + bytes; at += strlen(at) + 1) {
    if (strncmp(at, kOptionsVariable, kVariableBytes) == 0) return at + kVariableBytes;
  }
  return nullptr;
}

bool parent_is_observed() noexcept {
  char path[64];
  TextBuilder text(path, sizeof path);
  text.add("/proc/");
  text.add_number(static_cast<uint64_t>(sys::parent_process_id()));
  text.add("/maps");
  const long fd = sys::open(path, O_RDONLY);
  if (sys::failed(fd)) return false;
  char buffer[4096];
  size_t kept = 0;
  bool found = false;
  static constexpr char kName[] = "/libseep.so";
  for (;;) {
    const long got = sys::read_all(fd, buffer + kept, sizeof buffer - kept);
    if (got <= 0) break;
    const size_t bytes = kept + static_cast<size_t>(got);
    found = found || memmem(buffer, bytes, kName, sizeof kName - 1) != nullptr;
    kept = bytes < sizeof kName ? bytes : sizeof kName;
    memmove(buffer, buffer + bytes - kept, kept);
  }
  sys::close(fd);
  return found;
}

void fill_random(void* to, size_t bytes) noexcept {
  constexpr long kNonBlocking = 1;  // GRND_NONBLOCK
  if (system_call(SYS_getrandom, sys::as_long(to), static_cast<long>(bytes), kNonBlocking) ==
      static_cast<long>(bytes)) {
    return;
  }
  uint64_t state = monotonic_ns() ^ reinterpret_cast<uint64_t>(to) << 20 ^ static_cast<uint64_t>(sys::process_id());
  for (size_t at = 0; at < bytes; ++at) static_cast<uint8_t*>(to)[at] = static_cast<uint8_t>(next_random(state));
}

ProcessStat read_process_stat() noexcept {
  char text[1024];
  // In a vfork child, which may be the first to record, that is another process.
  char path[64] = "/proc/self/stat";
  if (!is_own_process()) {
    TextBuilder name(path, sizeof path);
    name.add("/proc/");
    name.add_number(recording.pid);
    name.add("/stat");
  }
  if (read_file(path, text, sizeof text) == 0) return {};
  const char* end_of_name = strrchr(text, ')');  // The second field is in parentheses, and may hold anything.
  return {stat_field(end_of_name, 4), stat_field(end_of_name, 22), stat_field(end_of_name, 28)};
}

uint64_t process_start_ticks() noexcept {
  if (recording.start_ticks == 0) recording.start_ticks = read_process_stat().start_ticks;
  return recording.start_ticks;
}

uint64_t read_pid_namespace() noexcept {
  struct stat status {};
  return sys::failed(sys::status("/proc/self/ns/pid", &status)) ? 0 : status.st_ino;
}

void fill_identity(Identity& identity) noexcept {
  const Options& options = recording.options;
  memcpy(identity.recording_id, recording.recording_id, sizeof identity.recording_id);
  memcpy(identity.parent_recording_id, recording.parent_recording_id, sizeof identity.parent_recording_id);
  identity.has_parent_recording = recording.has_parent_recording;
  read_boot_id(identity.boot_id);
  identity.pid = recording.pid;
  identity.parent_pid = static_cast<uint32_t>(is_own_process() ? sys::parent_process_id() : read_process_stat().parent);
  identity.pid_namespace = read_pid_namespace();
  identity.process_start_ticks = process_start_ticks();
  identity.depth_limit = options.depth;
  identity.sample_bytes = options.sample_bytes;
  identity.interval_ns = options.interval_ns;
  // In exact mode births are kept less exactly than the clock may tell them.
  identity.clock_resolution_ns =
      std::max(coarse_resolution_ns(), options.exact() ? uint64_t{1} << AddressTable::kBirthUnitBits : 0);
  identity.started_unix_ns = unix_ns();
  identity.started_monotonic_ns = monotonic_ns();
  identity.max_stream_bytes = options.max_stream_bytes;
  identity.seed = recording.base_seed;
  read_executable(identity.executable, sizeof identity.executable);
  identity.command_bytes =
      static_cast<uint32_t>(read_file("/proc/self/cmdline", identity.command, sizeof identity.command));
  utsname names{};
  if (!sys::failed(system_call(SYS_uname, sys::as_long(&names)))) memcpy(identity.host, names.nodename, 65);
  memcpy(identity.options, options.given, sizeof identity.options);
  if (!expand_stream_path(identity.stream_path, sizeof identity.stream_path)) identity.stream_path[0] = '\0';
  identity.stream_base_bytes = recording.working_directory_bytes;
}

}  // namespace seep
