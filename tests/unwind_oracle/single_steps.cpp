// SPDX-License-Identifier: Apache-2.0
//
// Single steps; see single_steps.h.
#include "single_steps.h"

#include <signal.h>
#include <ucontext.h>

#include "preload/keep_errno.h"
#include "record/system.h"

// A function of its own, so that its unwind tables hold at each instruction: it is stepped through, too.
__asm__(
    ".text\n"
    ".type oracle_flags, @function\n"
    "oracle_flags:\n"
    "  .cfi_startproc\n"
    "  pushfq\n"
    "  .cfi_adjust_cfa_offset 8\n"
    "  popq %rax\n"
    "  .cfi_adjust_cfa_offset -8\n"
    "  ret\n"
    "  .cfi_endproc\n"
    ".size oracle_flags, . - oracle_flags\n");
extern "C" uint64_t oracle_flags();

namespace seep {
namespace {

constexpr uint64_t kTrapFlag = 0x100;

using AtEach = bool (*)();
constinit AtEach call_at_each = nullptr;
constinit thread_local uint64_t steps_left = 0;  // Of this thread; 0 outside of steps.

// What must not be done in single steps: a thread that blocks SIGTRAP is killed by the next trap, and a child has no
// business with them.
bool enters_the_kernel_for_good(const ucontext_t& context) {
  const auto* pc = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  if (pc[0] != 0x0F || pc[1] != 0x05) return false;
  switch (context.uc_mcontext.gregs[REG_RAX]) {
    case SYS_rt_sigprocmask:
    case SYS_rt_sigreturn:
    case SYS_rt_sigaction:
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
    case SYS_execve:
    case SYS_exit:
    case SYS_exit_group: return true;
    default: return false;
  }
}

void on_trap(int, siginfo_t*, void* argument) {
  const KeepErrno keep_errno;
  auto& context = *static_cast<ucontext_t*>(argument);
  const bool goes_on = steps_left > 1 && !enters_the_kernel_for_good(context) && call_at_each();
  steps_left = goes_on ? steps_left - 1 : 0;
  if (!goes_on) context.uc_mcontext.gregs[REG_EFL] &= ~static_cast<long long>(kTrapFlag);
}

}  // namespace

void catch_traps(bool (*at_each)()) noexcept {
  call_at_each = at_each;
  struct sigaction action {};
  action.sa_sigaction = on_trap;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(SIGTRAP, &action, nullptr);
}

bool prepare_steps(uint64_t steps) noexcept {
  uint64_t blocked = 0;
  system_call(SYS_rt_sigprocmask, SIG_BLOCK, 0, sys::as_long(&blocked), sizeof blocked);
  if ((blocked & uint64_t{1} << (SIGTRAP - 1)) != 0) return false;
  steps_left = steps;
  return true;
}

bool is_stepping() noexcept {
  if (steps_left == 0) return false;
  if ((oracle_flags() & kTrapFlag) == 0) steps_left = 0;  // It was lost: a signal handler left by longjmp, say.
  return steps_left != 0;
}

}  // namespace seep
