// SPDX-License-Identifier: Apache-2.0
//
// Children of the kind that argument 1 names, ten of them: fork, _Fork, raw fork (the system call), clone, clone3 (raw,
// as fork makes them), vfork, clone with CLONE_VM, and with CLONE_VM and CLONE_VFORK. Each frees a block of its
// parent's, reallocates another, and leaks one of its own size. The parent has allocated before, and does again
// afterwards.
//
// Expected: a child with a memory of its own has its leak and its realloc in its own recording, and its parent's blocks
// in none; what a child does in its parent's memory is its parent's.
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kChildren = 10, kBlocks = 40, kBytes = 64, kGrownBytes = 150, kLeakedBytes = 1000, kStackBytes = 256 << 10 };

void* volatile blocks[kBlocks];
void* volatile leaked[kChildren];
void* volatile later[kBlocks];

__attribute__((noinline)) static void* allocate_in_parent(void) { return escape(malloc(kBytes)); }
__attribute__((noinline)) static void* leak(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) static void* grow(void* block) { return escape(realloc(block, kGrownBytes)); }

__attribute__((noinline)) static void be_child(int number) {
  free(blocks[2 * number]);
  blocks[2 * number + 1] = grow(blocks[2 * number + 1]);
  leaked[number] = leak((size_t)(kLeakedBytes + number));
}

static void tell_own(int number) {
  const pid_t self = (pid_t)syscall(SYS_getpid);
  process_truth(self, "leak", 1, (unsigned long)(kLeakedBytes + number), 1, (unsigned long)(kLeakedBytes + number));
  process_truth(self, "grow", 1, kGrownBytes, 1, kGrownBytes);
}

static int in_shared_memory(void* number) {
  be_child(*(int*)number);
  _exit(0);
}

static pid_t raw_clone3(void) {
  struct clone_args arguments;
  memset(&arguments, 0, sizeof arguments);
  arguments.exit_signal = SIGCHLD;
  return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static pid_t start(const char* kind, int number) {
  if (strcmp(kind, "fork") == 0) return fork();
  if (strcmp(kind, "_Fork") == 0) return _Fork();
  if (strcmp(kind, "raw fork") == 0) return (pid_t)syscall(SYS_fork);
  if (strcmp(kind, "raw clone") == 0) return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (strcmp(kind, "raw clone3") == 0) return raw_clone3();
  static char* stack;
  if (stack == NULL) {
    stack = mmap(NULL, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  const int flags = strcmp(kind, "clone VM") == 0         ? CLONE_VM
                    : strcmp(kind, "clone VM VFORK") == 0 ? CLONE_VM | CLONE_VFORK
                    : strcmp(kind, "clone") == 0          ? 0
                                                          : -1;
  return flags < 0 ? -1 : clone(in_shared_memory, stack + kStackBytes, flags | SIGCHLD, &number);
}

// A function of its own: what calls vfork may not return in the child, and should keep nothing in registers.
__attribute__((noinline)) static pid_t start_vfork(int number) {
  const pid_t child = vfork();
  if (child != 0) return child;
  be_child(number);
  _exit(0);
}

static int children(const char* kind) {
  for (int i = 0; i < kChildren; ++i) {
    const pid_t child = strcmp(kind, "vfork") == 0 ? start_vfork(i) : start(kind, i);
    if (child < 0) return 1;
    if (child == 0) {
      be_child(i);
      tell_own(i);
      _exit(0);
    }
    int status = 1;
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    if (strcmp(kind, "clone") == 0) {  // Its function is the one that does not tell.
      process_truth(child, "leak", 1, (unsigned long)(kLeakedBytes + i), 1, (unsigned long)(kLeakedBytes + i));
      process_truth(child, "grow", 1, kGrownBytes, 1, kGrownBytes);
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int in_own_memory = strcmp(argv[1], "vfork") == 0 || strstr(argv[1], "VM") != NULL;
  for (int i = 0; i < kBlocks; ++i) blocks[i] = allocate_in_parent();
  if (children(argv[1]) != 0) return 1;
  for (int i = 0; i < kBlocks; ++i) later[i] = allocate_in_parent();
  const unsigned long live = 2 * kBlocks - (in_own_memory ? 2 * kChildren : 0);
  const pid_t self = getpid();
  process_truth(self, "allocate_in_parent", 2 * kBlocks, 2 * kBlocks * kBytes, live, live * kBytes);
  if (in_own_memory) {
    const unsigned long bytes = kChildren * kLeakedBytes + kChildren * (kChildren - 1) / 2;
    process_truth(self, "leak", kChildren, bytes, kChildren, bytes);
    process_truth(self, "grow", kChildren, kChildren * kGrownBytes, kChildren, kChildren * kGrownBytes);
  }
  return 0;
}
