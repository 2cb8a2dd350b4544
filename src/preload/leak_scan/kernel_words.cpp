// SPDX-License-Identifier: Apache-2.0
//
// What the kernel holds; see kernel_words.h.
#include "preload/leak_scan/kernel_words.h"

#include <sys/stat.h>

#include <cstring>

#include "record/system.h"
#include "record/text.h"

namespace seep::leak_scan {
namespace {

constexpr size_t kLineBytes = 512;

// The number in base 16 that follows `label` in a line.
bool find_hex(const char* line, const char* end, const char* label, uint64_t& value) {
  const size_t label_bytes = strlen(label);
  const char* found = static_cast<const char*>(memmem(line, static_cast<size_t>(end - line), label, label_bytes));
  if (found == nullptr) return false;
  const char* at = found + label_bytes;
  while (at < end && *at == ' ') ++at;
  const char* first = at;
  value = read_hexadecimal(at, end);
  return at != first;
}

// Runs aside: fills what room there is, and says whether there was enough.
class Reader {
 public:
  Reader(KernelWords& result, uint32_t tid, char* buffer, size_t bytes) noexcept
      : result_(result),
        tid_(tid),
        has_its_table_(system_call(SYS_gettid) == static_cast<long>(tid)),
        names_(buffer),
        text_(buffer + bytes / 2),
        half_bytes_(bytes / 2) {}

  void read_all() noexcept {
    const long timers = read_lines("/proc/self/timers", [this](const char* line, const char* end) {
      // "signal: 10/0000123456789abc"
      uint64_t word;
      if (static_cast<size_t>(end - line) > 7 && memcmp(line, "signal:", 7) == 0 && find_hex(line, end, "/", word)) {
        add(word);
      }
    });
    result_.timers_read = timers == 0;
    result_.epoll_read = read_descriptors();
  }
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  struct DirectoryEntry {  // linux_dirent64, getdents64(2)
    uint64_t inode, offset;
    uint16_t bytes;
    uint8_t type;
    char name[1];
  };

  bool read_descriptors() noexcept {
    char path[64];
    TextBuilder text(path, sizeof path);
    add_task(text, "fdinfo");
    const long directory = sys::open(path, O_RDONLY | O_DIRECTORY);
    if (sys::failed(directory)) return false;
    bool all = true;
    for (;;) {
      const long got = system_call(SYS_getdents64, directory, sys::as_long(names_), static_cast<long>(half_bytes_));
      if (got <= 0) {
        all = all && got == 0;
        break;
      }
      for (long at = 0; at < got;) {
        const auto* entry = reinterpret_cast<const DirectoryEntry*>(names_ + at);
        if (entry->name[0] != '.' && may_be_epoll(entry->name)) all = read_epoll(entry->name) && all;
        at += entry->bytes;
      }
    }
    sys::close(directory);
    return all;
  }

  void add_task(TextBuilder& text, const char* what) const noexcept {
    text.add("/proc/self/task/");
    text.add_number(tid_);
    text.add_character('/');
    text.add(what);
  }

  // Of our own table, its type costs less than its name. An epoll descriptor is of none of these.
  [[nodiscard]] static bool is_of_known_type(const char* number) noexcept {
    struct stat status {};
    if (sys::failed(sys::status_fd(static_cast<long>(read_decimal(number)), &status))) return false;
    return S_ISDIR(status.st_mode) || S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode) || S_ISFIFO(status.st_mode) ||
           S_ISSOCK(status.st_mode);
  }

  // The name of a descriptor costs less than its text.
  [[nodiscard]] bool may_be_epoll(const char* number) const noexcept {
    if (has_its_table_ && is_of_known_type(number)) return false;
    static constexpr char kEpoll[] = "anon_inode:[eventpoll]";
    char path[64], target[sizeof kEpoll];
    TextBuilder text(path, sizeof path);
    add_task(text, "fd/");
    text.add(number);
    const long bytes = sys::read_link(path, target, sizeof target);
    return sys::failed(bytes) || (bytes == sizeof kEpoll - 1 && memcmp(target, kEpoll, sizeof kEpoll - 1) == 0);
  }

  bool read_epoll(const char* number) noexcept {
    char path[64];
    TextBuilder text(path, sizeof path);
    add_task(text, "fdinfo/");
    text.add(number);
    const long result = read_lines(path, [this](const char* line, const char* end) {
      // "tfd:        5 events:       19 data:     deadbeef1234  pos:0 ino:2bd54d sdev:f"
      uint64_t word;
      if (static_cast<size_t>(end - line) > 4 && memcmp(line, "tfd:", 4) == 0 && find_hex(line, end, "data:", word)) {
        add(word);
      }
    });
    return result == 0 || result == -ENOENT;  // Closed by a process that shares our table; our threads stand still.
  }

  void add(uint64_t word) noexcept {
    if (word != 0) complete_ = result_.words.add_if_room(word) && complete_;
  }

  // 0, or a negative errno.
  template <typename Visit>
  long read_lines(const char* path, Visit visit) noexcept {
    const long fd = sys::open(path, O_RDONLY);
    if (sys::failed(fd)) return fd;
    size_t kept = 0;
    long got;
    while ((got = sys::read_all(fd, text_ + kept, half_bytes_ - kept)) > 0) {
      const char* end = text_ + kept + got;
      const char* line = text_;
      for (const char* at = text_ + kept; at < end; ++at) {
        if (*at != '\n') continue;
        visit(line, at);
        line = at + 1;
      }
      kept = static_cast<size_t>(end - line);
      if (kept > kLineBytes) kept = 0;  // No line of these files.
      memmove(text_, end - kept, kept);
    }
    sys::close(fd);
    return got;
  }

  KernelWords& result_;
  uint32_t tid_;
  const bool has_its_table_;  // We are that thread, and not aside of it.
  char* names_;
  char* text_;
  size_t half_bytes_;
  bool complete_ = true;
};

}  // namespace

bool read_kernel_words(AsideMemory& aside, uint32_t tid, KernelWords& result) noexcept {
  constexpr size_t kBufferBytes = 64 << 10;
  if (!aside.reserve(kBufferBytes)) return false;
  for (uint64_t capacity = 1024;; capacity = result.words.capacity() * 4) {
    result.words.clear();
    if (!result.words.reserve(capacity)) return false;
    bool complete = false;
    aside.call([&] {
      Reader reader(result, tid, aside.buffer(), kBufferBytes);
      reader.read_all();
      complete = reader.complete();
    });
    if (complete) return true;
  }
}

}  // namespace seep::leak_scan
