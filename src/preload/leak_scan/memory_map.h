// SPDX-License-Identifier: Apache-2.0
//
// What is mapped in this process, as /proc/self/maps tells it, and what may be read of it at all.
//
// Reading a device's memory may do something, and reading what no page stands behind raises a signal; so only mappings
// of a known kind are read: anonymous memory, shared memory, and regular files.
//
// Runs inside the host while its other threads stand still, or in a copy of it; one thread. The file is read aside.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preload/leak_scan/growing_array.h"
#include "preload/leak_scan/ranges.h"

namespace seep::leak_scan {

enum class MappingKind : uint8_t {
  kAnonymous,     // Private.
  kFilePrivate,   // Pages that were written to are the process's own.
  kSharedMemory,  // memfd, tmpfs, System V, anonymous and shared.
  kFileShared,    // A regular file, as far as its name tells: the kernel must be asked.
  kDevice,        // Not to be read.
  kKernel,        // [vvar] and the like: nothing of the program's.
};

struct Mapping {
  uint64_t start, end;
  MappingKind kind;
  bool readable, writable, executable;
  bool is_main_stack;

  [[nodiscard]] bool is_private() const noexcept {
    return kind == MappingKind::kAnonymous || kind == MappingKind::kFilePrivate;
  }
};

// Memory for work that is done aside: its stack, which lies in our own memory and therefore is no root, and a buffer.
class AsideMemory {
 public:
  explicit AsideMemory(PrivateMemory& memory) noexcept : memory_(memory) {}
  ~AsideMemory() { release(); }
  AsideMemory(const AsideMemory&) = delete;
  AsideMemory& operator=(const AsideMemory&) = delete;

  // A buffer of this size, whatever was in it before. False: there is no memory.
  [[nodiscard]] bool reserve(size_t buffer_bytes) noexcept;
  [[nodiscard]] char* buffer() const noexcept { return base_ + kStackBytes; }
  [[nodiscard]] size_t buffer_bytes() const noexcept { return bytes_ - kStackBytes; }

  // See record/aside.h. Must not take memory in there.
  template <typename Function>
  void call(Function function) const noexcept {
    call_function([](void* called) { (*static_cast<Function*>(called))(); }, &function);
  }

 private:
  static constexpr size_t kStackBytes = 32 << 10;

  void release() noexcept;
  void call_function(void (*function)(void*), void* argument) const noexcept;

  PrivateMemory& memory_;
  char* base_ = nullptr;
  size_t bytes_ = 0;
};

// One line of /proc/PID/maps, without its end. False: it is not one.
[[nodiscard]] bool parse_mapping(const char* line, const char* end, Mapping& mapping) noexcept;

// In order of address. `before_reading` is called before each attempt: what it notes of our own memory is then right
// for what is read.
enum class MapResult : uint8_t { kDone, kNoMaps, kNoMemory };
template <typename BeforeReading>
[[nodiscard]] MapResult read_memory_map(AsideMemory& aside, GrowingArray<Mapping>& mappings,
                                        BeforeReading before_reading);

// Reads the whole text into the buffer of `aside`: its length, more than the buffer has if it did not fit, or a
// negative errno.
[[nodiscard]] long read_maps_text(const AsideMemory& aside) noexcept;
[[nodiscard]] bool parse_maps_text(const char* text, size_t bytes, GrowingArray<Mapping>& mappings) noexcept;

template <typename BeforeReading>
MapResult read_memory_map(AsideMemory& aside, GrowingArray<Mapping>& mappings, BeforeReading before_reading) {
  constexpr size_t kFirstBytes = 256 << 10, kMostBytes = 1 << 30;
  for (size_t bytes = kFirstBytes; bytes <= kMostBytes; bytes *= 4) {
    if (!aside.reserve(bytes) || !before_reading()) return MapResult::kNoMemory;
    const long length = read_maps_text(aside);
    if (length <= 0) return MapResult::kNoMaps;
    if (static_cast<size_t>(length) > aside.buffer_bytes()) continue;
    const bool parsed = parse_maps_text(aside.buffer(), static_cast<size_t>(length), mappings);
    return parsed ? MapResult::kDone : MapResult::kNoMemory;
  }
  return MapResult::kNoMemory;
}

}  // namespace seep::leak_scan
