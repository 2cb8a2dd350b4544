// SPDX-License-Identifier: Apache-2.0
//
// Children that are killed by each of some signals, by themselves, or by their parent while they wait; each has
// allocated and freed before. The parent allocates in between.
//
// Expected: each child's recording says all that it did, as its parent's does.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kBlocks = 300, kKept = 100, kBytes = 800, kParentBytes = 50, kByParent = 0 };

void* volatile kept[kKept];
void* volatile parents[16];

__attribute__((noinline)) static void* allocate_in_child(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* allocate_in_parent(void) { return escape(malloc(kParentBytes)); }

static void be_child(int signal_number, int ready) {
  for (int i = 0; i < kBlocks; ++i) {
    void* block = allocate_in_child();
    if (i < kKept) kept[i] = block;
    else free(block);
  }
  process_truth(getpid(), "allocate_in_child", kBlocks, kBlocks * kBytes, kKept, kKept * kBytes);
  if (signal_number != kByParent) {
    signal(signal_number, SIG_DFL);  // Who started this may have had it ignored, as nohup does.
    raise(signal_number);
  }
  if (write(ready, "", 1) != 1) _exit(1);
  for (;;) pause();
}

int main(void) {
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, SIGHUP, SIGPIPE, SIGXCPU, SIGRTMIN, kByParent, kByParent};
  const int count = (int)(sizeof signals / sizeof signals[0]);
  for (int i = 0; i < count; ++i) {
    int ends[2], status = 0;
    if (pipe(ends) != 0) return 2;
    parents[i] = allocate_in_parent();
    const pid_t child = fork();
    if (child < 0) return 2;
    if (child == 0) be_child(signals[i], ends[1]);
    char byte;
    if (signals[i] == kByParent && (read(ends[0], &byte, 1) != 1 || kill(child, SIGKILL) != 0)) return 2;
    waitpid(child, &status, 0);
    printf("killed by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    close(ends[0]);
    close(ends[1]);
  }
  process_truth(getpid(), "allocate_in_parent", (unsigned long)count, (unsigned long)(count * kParentBytes),
                (unsigned long)count, (unsigned long)(count * kParentBytes));
  return 0;
}
