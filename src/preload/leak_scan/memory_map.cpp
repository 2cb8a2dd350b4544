// SPDX-License-Identifier: Apache-2.0
//
// The mappings; see memory_map.h.
#include "preload/leak_scan/memory_map.h"

#include <cstring>

#include "record/aside.h"
#include "record/system.h"
#include "record/text.h"

namespace seep::leak_scan {
namespace {

struct Text {
  const char* at;
  const char* end;

  [[nodiscard]] bool starts_with(const char* prefix) const noexcept {
    const size_t bytes = strlen(prefix);
    return static_cast<size_t>(end - at) >= bytes && memcmp(at, prefix, bytes) == 0;
  }
  [[nodiscard]] bool starts_with_one_of(const char* const* prefixes) const noexcept {
    for (; *prefixes != nullptr; ++prefixes) {
      if (starts_with(*prefixes)) return true;
    }
    return false;
  }
  [[nodiscard]] bool take(char wanted) noexcept {
    if (at == end || *at != wanted) return false;
    ++at;
    return true;
  }
  [[nodiscard]] bool take_hex(uint64_t& value) noexcept {
    const char* first = at;
    value = read_hexadecimal(at, end);
    return at != first;
  }
  void skip_word() noexcept {
    while (at != end && *at != ' ') ++at;
    while (at != end && *at == ' ') ++at;
  }
};

MappingKind kind_of(const Text& name, bool shared) {
  static constexpr const char* kAnonymous[] = {"[heap]", "[stack", "[anon:", nullptr};
  static constexpr const char* kShared[] = {"/memfd:",      "/SYSV",          "/dev/shm/",       "/dev/zero (deleted)",
                                            "[anon_shmem:", "/anon_hugepage", "/dev/hugepages/", nullptr};
  static constexpr const char* kDevices[] = {"/dev/", "/proc/", "/sys/", "/dmabuf:", nullptr};
  if (name.at == name.end || name.starts_with_one_of(kAnonymous)) return MappingKind::kAnonymous;
  if (name.starts_with_one_of(kShared)) return shared ? MappingKind::kSharedMemory : MappingKind::kFilePrivate;
  // A private mapping of /dev/zero is anonymous memory with a name.
  if (!shared && name.starts_with("/dev/zero")) return MappingKind::kAnonymous;
  if (name.starts_with("[")) return MappingKind::kKernel;
  // Without a slash: anon_inode:[perf_event], socket:[123], which are rings that the kernel writes.
  if (!name.starts_with("/") || name.starts_with_one_of(kDevices)) return MappingKind::kDevice;
  return shared ? MappingKind::kFileShared : MappingKind::kFilePrivate;
}

}  // namespace

bool AsideMemory::reserve(size_t buffer_bytes) noexcept {
  if (base_ != nullptr && buffer_bytes <= this->buffer_bytes()) return true;
  release();
  base_ = static_cast<char*>(memory_.take(kStackBytes + buffer_bytes));
  bytes_ = base_ == nullptr ? 0 : kStackBytes + buffer_bytes;
  return base_ != nullptr;
}

void AsideMemory::release() noexcept {
  if (base_ != nullptr) memory_.give_back(base_, bytes_);
  base_ = nullptr;
  bytes_ = 0;
}

void AsideMemory::call_function(void (*function)(void*), void* argument) const noexcept {
  const sys::SignalsBlocked blocked;
  call_aside_on(base_ + kStackBytes, function, argument);
}

// START-END PERMISSIONS OFFSET DEVICE INODE   NAME (proc_pid_maps(5))
bool parse_mapping(const char* line, const char* end, Mapping& mapping) noexcept {
  Text text{line, end};
  mapping = {};
  if (!text.take_hex(mapping.start) || !text.take('-') || !text.take_hex(mapping.end) || !text.take(' ')) return false;
  if (end - text.at < 5) return false;
  mapping.readable = text.at[0] == 'r';
  mapping.writable = text.at[1] == 'w';
  mapping.executable = text.at[2] == 'x';
  const bool shared = text.at[3] == 's';
  for (int field = 0; field < 4; ++field) text.skip_word();
  mapping.kind = kind_of(text, shared);
  mapping.is_main_stack = text.starts_with("[stack]");
  return mapping.start < mapping.end;
}

long read_maps_text(const AsideMemory& aside) noexcept {
  long result = 0;
  aside.call([&] {
    // Of this very thread: the leader's are empty when it has ended before the others.
    long fd = sys::open("/proc/thread-self/maps", O_RDONLY);
    if (fd == -ENOENT) fd = sys::open("/proc/self/maps", O_RDONLY);  // Before Linux 3.17.
    if (sys::failed(fd)) {
      result = fd;
      return;
    }
    result = sys::read_all(fd, aside.buffer(), aside.buffer_bytes());
    char more;
    if (result == static_cast<long>(aside.buffer_bytes()) && sys::read_all(fd, &more, 1) == 1) ++result;
    sys::close(fd);
  });
  return result;
}

bool parse_maps_text(const char* text, size_t bytes, GrowingArray<Mapping>& mappings) noexcept {
  mappings.clear();
  const char* end = text + bytes;
  while (text < end) {
    const char* line_end = text;
    while (line_end < end && *line_end != '\n') ++line_end;
    Mapping mapping;
    if (parse_mapping(text, line_end, mapping) && !mappings.add(mapping)) return false;
    text = line_end + 1;
  }
  return true;
}

}  // namespace seep::leak_scan
