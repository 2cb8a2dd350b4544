// SPDX-License-Identifier: Apache-2.0
//
// The place of the region's file; see region_place.h.
#include "preload/region_place.h"

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "preload/identity.h"
#include "preload/recording.h"
#include "preload/snapshots.h"
#include "record/region.h"
#include "record/sampling.h"
#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

// Of a process; two of the same number would have to start within one clock tick, in two pid namespaces.
void add_process_number(TextBuilder& text) {
  uint64_t state = process_start_ticks() ^ uint64_t { recording.pid } << 40;
  const uint64_t number = next_random(state);
  uint8_t bytes[sizeof number];
  memcpy(bytes, &number, sizeof number);
  text.add_hex(bytes, sizeof bytes);
}

// What is asked of a region's header, which as a whole would be too large for a host's stack.
struct RegionFacts {
  char magic[sizeof kRegionMagic];
  uint32_t version, closed, pid;
  uint64_t pid_namespace, start_ticks;
};

bool read_facts(long fd, RegionFacts& facts) {
  constexpr size_t kIdentity = offsetof(RegionHeader, identity);
  const auto read = [fd](size_t offset, auto& into) {
    return sys::read_at(fd, &into, sizeof into, offset) == static_cast<long>(sizeof into);
  };
  return read(offsetof(RegionHeader, magic), facts.magic) && read(offsetof(RegionHeader, version), facts.version) &&
         read(offsetof(RegionHeader, closed), facts.closed) && read(kIdentity + offsetof(Identity, pid), facts.pid) &&
         read(kIdentity + offsetof(Identity, pid_namespace), facts.pid_namespace) &&
         read(kIdentity + offsetof(Identity, process_start_ticks), facts.start_ticks);
}

// Left by this very process, before an exec, and nothing is in it that is not in its stream.
bool is_done_with(const RegionFacts& facts) {
  return memcmp(facts.magic, kRegionMagic, sizeof facts.magic) == 0 && facts.version == kRegionVersion &&
         facts.closed == 1 && facts.pid == recording.pid && facts.start_ticks == process_start_ticks() &&
         facts.pid_namespace == read_pid_namespace();
}

}  // namespace

bool region_path(unsigned attempt, char* path, size_t path_bytes) noexcept {
  const Options& options = recording.options;
  TextBuilder text(path, path_bytes);
  if (strcmp(options.region, "tmpfs") == 0) {
    text.add("/dev/shm");
  } else if (strcmp(options.region, "output") == 0) {
    char stream[sizeof options.out];
    if (!expand_stream_path(stream, sizeof stream)) return false;
    char* slash = strrchr(stream, '/');
    if (slash == nullptr) return false;
    *slash = '\0';
    text.add(stream);
  } else {
    text.add(options.region);
  }
  text.add("/seep.");
  text.add_number(recording.pid);
  text.add_character('.');
  add_process_number(text);
  if (attempt > 1) {
    text.add_character('.');
    text.add_number(attempt);
  }
  text.add(".region");
  return text.complete();
}

bool is_region_path_taken(const char* path) noexcept {
  const long fd = sys::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (sys::failed(fd)) return fd != -ENOENT && fd != -ENOTDIR;
  RegionFacts facts{};
  const bool read = read_facts(fd, facts);
  sys::close(fd);
  return !read || !is_done_with(facts) || sys::failed(sys::unlink(path));
}

void remove_region_of_image_before() noexcept {
  char path[sizeof(Identity::region_path)];
  if (region_path(1, path, sizeof path)) (void)is_region_path_taken(path);
}

}  // namespace seep
