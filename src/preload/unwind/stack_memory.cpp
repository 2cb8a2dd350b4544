// SPDX-License-Identifier: Apache-2.0
//
// The bounds of the current stack; see stack_memory.h.
#include "preload/unwind/stack_memory.h"

#include <cerrno>

#include "preload/leak_scan/process_memory.h"
#include "record/system.h"

namespace seep {
namespace {

constexpr uintptr_t kPageBytes = 4096;
constexpr uintptr_t kLargestKnownStack = 256 << 20;
constexpr uintptr_t kLargestOtherStack = 64 << 20;

uintptr_t page_of(uintptr_t address) { return address & ~(kPageBytes - 1); }

bool all_readable(uintptr_t low, uintptr_t high) {
  for (uintptr_t at = page_of(low); at < high; at += kPageBytes) {
    if (!is_readable(at)) return false;
  }
  return true;
}

}  // namespace

constinit uintptr_t process_stack_start = 0;

// By a system call that reads them and then fails for another reason: mincore(2) would call a guard page mapped.
bool is_readable(uintptr_t address) noexcept {
  constexpr long kNoSuchHow = 12345;
  const long result = system_call(SYS_rt_sigprocmask, kNoSuchHow, static_cast<long>(address), 0, 8);
  if (__builtin_expect(result == -EINVAL || result == -EFAULT, true)) return result == -EINVAL;
  // A sandbox answers in the place of that call, which is the cheaper one.
  uint64_t word;
  return leak_scan::read_process_memory(address, &word, sizeof word) == sizeof word;
}

StackMemory find_stack(ThreadState& thread, uintptr_t sp) noexcept {
  if (sp >= thread.stack_low && sp < thread.stack_high) return {sp, thread.stack_high};
  const uintptr_t pointer = thread_pointer();
  uintptr_t end = 0;
  if (sp < pointer && pointer - sp < kLargestKnownStack) end = pointer;
  else if (sp < process_stack_start && process_stack_start - sp < kLargestKnownStack) end = process_stack_start;
  if (end != 0) {
    // Deeper than before on the same stack: only what is new needs a look.
    const uintptr_t known = thread.stack_high == end && thread.stack_low > sp ? thread.stack_low : end;
    if (all_readable(sp, known)) {
      thread.stack_low = page_of(sp);
      thread.stack_high = end;
      return {sp, end};
    }
  }
  const uintptr_t high = sp + kLargestOtherStack < sp ? ~uintptr_t{0} : sp + kLargestOtherStack;
  // A stack that nothing has been pushed on ends there: the page of its stack pointer may not be its own.
  return {sp, high, true, page_of(sp - 1)};
}

}  // namespace seep
