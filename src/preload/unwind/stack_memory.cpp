// SPDX-License-Identifier: Apache-2.0
//
// The bounds of the current stack; see stack_memory.h.
#include "preload/unwind/stack_memory.h"

#include <cerrno>

#include "record/system.h"

namespace seep {
namespace {

constexpr uintptr_t kPageBytes = 4096;
constexpr uintptr_t kLargestThreadStack = 256 << 20;

uintptr_t page_of(uintptr_t address) { return address & ~(kPageBytes - 1); }

bool all_readable(uintptr_t low, uintptr_t high) {
  for (uintptr_t at = page_of(low); at < high; at += kPageBytes) {
    if (!is_readable(at)) return false;
  }
  return true;
}

// Reads a mapping's "start-end" from the beginning of a line of maps.
bool parse_range(const char* line, const char* end, Mapping& mapping) {
  uintptr_t value[2] = {0, 0};
  const char stop[2] = {'-', ' '};
  for (int i = 0; i < 2; ++i) {
    while (line < end && *line != stop[i]) {
      const char c = *line++;
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) return false;
      value[i] = value[i] << 4 | static_cast<uintptr_t>(digit);
    }
    if (line++ >= end) return false;
  }
  mapping = {value[0], value[1]};
  return true;
}

}  // namespace

// By a system call that reads them and then fails for another reason: mincore(2) would call a guard page mapped.
bool is_readable(uintptr_t address) noexcept {
  constexpr long kNoSuchHow = 12345;
  return system_call(SYS_rt_sigprocmask, kNoSuchHow, static_cast<long>(address), 0, 8) == -EINVAL;
}

Mapping find_mapping(uintptr_t address, char* scratch) noexcept {
  const long fd = sys::open("/proc/self/maps", O_RDONLY);
  if (sys::failed(fd)) return {};
  Mapping found;
  size_t kept = 0;  // Of a line that the last read cut.
  for (bool more = true; more;) {
    const long got = sys::read_all(fd, scratch + kept, kStackScratchBytes - kept);
    if (got <= 0) break;
    const char* end = scratch + kept + got;
    const char* line = scratch;
    for (const char* at = line; at < end; ++at) {
      if (*at != '\n') continue;
      Mapping mapping;
      if (parse_range(line, at, mapping) && address >= mapping.start && address < mapping.end) {
        found = mapping;
        more = false;
        break;
      }
      line = at + 1;
    }
    kept = static_cast<size_t>(end - line);
    if (kept >= kStackScratchBytes) kept = 0;  // A path of more than 4 KiB: its line is passed over.
    memmove(scratch, line, kept);
  }
  sys::close(fd);
  return found;
}

StackMemory find_stack(ThreadState& thread, uintptr_t sp, char* scratch) noexcept {
  if (sp >= thread.stack_low && sp < thread.stack_high) return {sp, thread.stack_high};
  const uintptr_t pointer = thread_pointer();
  if (sp < pointer && pointer - sp < kLargestThreadStack) {
    // Deeper than before on the same stack: only what is new needs a look.
    const uintptr_t known = thread.stack_high == pointer && thread.stack_low > sp ? thread.stack_low : pointer;
    if (all_readable(sp, known)) {
      thread.stack_low = page_of(sp);
      thread.stack_high = pointer;
      return {sp, pointer};
    }
  }
  const Mapping mapping = find_mapping(sp, scratch);
  if (mapping.end == 0) return {sp, page_of(sp) + kPageBytes};
  // A stack that grows, as the main thread's, may reach below what is mapped now: it is looked up again there.
  thread.stack_low = mapping.start;
  thread.stack_high = mapping.end;
  return {sp, mapping.end};
}

}  // namespace seep
