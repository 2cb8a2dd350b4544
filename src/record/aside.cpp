// SPDX-License-Identifier: Apache-2.0
//
// The helper with descriptors of its own; see aside.h.
#include "record/aside.h"

#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/single_threaded.h>

#include <atomic>

namespace seep {
namespace {

struct Task {
  void (*function)(void*);
  void* argument;
  bool done;
  std::atomic<uint32_t> running{1};  // The kernel clears it when nothing of the helper's is left.
};

// Begins with the host's own table. It leaves that before it does anything, with nothing: closing copies of the host's
// descriptors would tell a FUSE or NFS server that the host had closed a file.
void run_in_helper(void* argument) {
  Task& task = *static_cast<Task*>(argument);
  if (sys::failed(system_call(SYS_close_range, 0, ~0U, CLOSE_RANGE_UNSHARE))) return;
  task.function(task.argument);
  task.done = true;
}

}  // namespace

void call_aside_on(char* stack_top, void (*function)(void*), void* argument) noexcept {
  // A thread of the process's, so that its pid is ours and nobody's wait(2) or SIGCHLD hears of it. It shares our
  // thread pointer, which is ours to use as long as we stand still. Not CLONE_VFORK: a thread that waits so cannot be
  // stopped by ptrace, and a leak scan that has stopped its helper would wait for it in vain.
  constexpr unsigned long kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                                   CLONE_CHILD_CLEARTID | CLONE_UNTRACED;
  Task task{function, argument, false};
  const bool alone = __libc_single_threaded != 0;
  const bool allowed =
      !system_gate.denies(SYS_clone) && !system_gate.denies(SYS_close_range) && !system_gate.denies(SYS_futex);
  if (!alone && allowed && !sys::failed(clone_and_call(kFlags, stack_top, run_in_helper, &task, &task.running))) {
    while (task.running.load(std::memory_order_acquire) != 0) {
      system_call(SYS_futex, sys::as_long(&task.running), FUTEX_WAIT, 1, 0);
    }
  }
  if (!task.done) call_on_stack(function, argument, stack_top);
}

}  // namespace seep
