// SPDX-License-Identifier: Apache-2.0
//
// Reading /proc/PID/task; see thread_list.h.
#include "preload/leak_scan/thread_list.h"

#include "record/system.h"
#include "record/text.h"

namespace seep::leak_scan {
namespace {

// As the kernel writes it (getdents64(2)).
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t bytes;
  uint8_t type;
  char name[1];
};

// Zero for what is no number: "." and "..".
int32_t number_of(const char* name) {
  const auto number = static_cast<int32_t>(read_decimal(name));
  return *name == '\0' ? number : 0;
}

// What /proc/PID/task/TID/FILE begins with, ended by NUL; its length, or a negative errno.
long read_task_file(long pid, long tid, const char* file, char* buffer, size_t bytes) {
  char path[64];
  TextBuilder text(path, sizeof path);
  text.add("/proc/");
  text.add_number(static_cast<uint64_t>(pid));
  text.add("/task/");
  text.add_number(static_cast<uint64_t>(tid));
  text.add(file);
  const long fd = sys::open(path, O_RDONLY);
  if (sys::failed(fd)) return fd;
  const long length = sys::read_all(fd, buffer, bytes - 1);
  sys::close(fd);
  if (!sys::failed(length)) buffer[length] = '\0';
  return length;
}

// Behind the last occurrence of `text`; null where there is none.
const char* behind_last(const char* in, const char* text) {
  const char* found = nullptr;
  for (; *in != '\0'; ++in) {
    size_t same = 0;
    while (text[same] != '\0' && in[same] == text[same]) ++same;
    if (text[same] == '\0') found = in + same;
  }
  return found;
}

}  // namespace

ThreadListing list_threads(long pid, void (*visit)(void* argument, int32_t tid), void* argument) noexcept {
  char path[48];
  TextBuilder text(path, sizeof path);
  text.add("/proc/");
  text.add_number(static_cast<uint64_t>(pid));
  text.add("/task");
  const long fd = sys::open(path, O_RDONLY | O_DIRECTORY);
  if (sys::failed(fd)) return {false, false};
  alignas(8) char buffer[8192];
  uint64_t listed = 0;
  long bytes;
  while ((bytes = system_call(SYS_getdents64, fd, sys::as_long(buffer), sizeof buffer)) > 0) {
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer + at);
      at += entry->bytes;
      const int32_t tid = number_of(buffer + at - entry->bytes + __builtin_offsetof(DirectoryEntry, name));
      if (tid == 0) continue;
      ++listed;
      // Any other thread is gone when it has ended.
      if (tid != pid || !has_ended(pid, tid)) visit(argument, tid);
    }
  }
  struct stat status {};
  const bool counted = !sys::failed(sys::status_fd(fd, &status));
  sys::close(fd);
  return {bytes == 0, counted && status.st_nlink == listed + 2};
}

bool has_ended(long pid, long tid) noexcept {
  char stat[512];
  const long length = read_task_file(pid, tid, "/stat", stat, sizeof stat);
  if (length == -ENOENT || length == -ESRCH) return true;
  if (sys::failed(length)) return false;
  const char* state = behind_last(stat, ") ");
  return state != nullptr && (*state == 'Z' || *state == 'X');
}

bool blocks_signal(long pid, long tid, int signal) noexcept {
  char status[4096];
  if (sys::failed(read_task_file(pid, tid, "/status", status, sizeof status))) return false;
  const char* mask = behind_last(status, "\nSigBlk:\t");
  return mask != nullptr && (read_hexadecimal(mask) >> (signal - 1) & 1) != 0;
}

}  // namespace seep::leak_scan
