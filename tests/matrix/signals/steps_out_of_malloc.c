// SPDX-License-Identifier: Apache-2.0
//
// A child allocates, frees and reallocates over an allocator that may be left at any instruction, and is left at every
// one: its parent steps it by ptrace through the call and, each time some instructions later than before, has it take a
// signal whose handler allocates and siglongjmps. Argument 1: how many steps to spend on each kind of call; where all
// of a call's instructions cost more, every second one is taken, every third and so on. The blocks have 8 MiB, so that
// each is sampled. At last the child allocates and frees a fixed number of blocks.
//
// Expected: no hang; what the handler does and what comes after is counted exactly; of each kind of call one event a
// jump at most is not (storm.h). Exit status 77: there is no ptrace here, or another processor than x86-64.
#include <setjmp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "storm.h"

enum { kSmallBytes = 64, kHandlerBytes = 48, kAfter = 1000, kAfterKept = 600, kAfterBytes = 8 << 10, kNotRun = 77 };
static const size_t kLargeBytes = 8 << 20;

#ifdef __x86_64__

// ---- The child.

typedef struct {
  Calls made, freed;  // Of blocks that `make_large` made.
  Calls grown;
  Calls shrunk;
  unsigned long jumps;
} Counts;

static sigjmp_buf back;
static Counts counts;
static unsigned long steps_for_each_kind;
void* volatile kept[kAfterKept];

__attribute__((noinline)) static void* make_large(void) { return escape(malloc(kLargeBytes)); }
__attribute__((noinline)) static void* make_small(void) { return escape(malloc(kSmallBytes)); }
__attribute__((noinline)) static void* grow(void* block) { return escape(realloc(block, kLargeBytes)); }
__attribute__((noinline)) static void* shrink(void* block) { return escape(realloc(block, kSmallBytes)); }
__attribute__((noinline)) static void* allocate_in_handler(void) { return escape(malloc(kHandlerBytes)); }
__attribute__((noinline)) static void* allocate_after(void) { return escape(malloc(kAfterBytes)); }

static void on_signal(int number) {
  (void)number;
  (void)allocate_in_handler();
  ++counts.jumps;
  siglongjmp(back, 1);
}

// Stops, for the parent to take so many steps; 0: no more. Returns what the parent leaves in the register.
__attribute__((noinline)) static unsigned long stop_for_parent(unsigned long steps) {
  __asm__ volatile("int3" : "+a"(steps) : : "memory");
  return steps;
}

static void call_malloc(void* unused) {
  (void)unused;
  ++counts.made.begun;
  (void)make_large();
  ++counts.made.done;
}

static void call_free(void* block) {
  ++counts.freed.begun;
  free(block);
  ++counts.freed.done;
}

static void call_growing_realloc(void* block) {
  ++counts.grown.begun;
  (void)grow(block);
  ++counts.grown.done;
}

static void call_shrinking_realloc(void* block) {
  ++counts.freed.begun;
  ++counts.shrunk.begun;
  (void)shrink(block);
  ++counts.shrunk.done;
  ++counts.freed.done;
}

static void* make_large_calmly(void) {
  ++counts.made.begun;
  ++counts.made.done;
  return make_large();
}

// One call of which `steps` instructions are taken. How many it took, if it came to its end; else 0.
__attribute__((noinline)) static unsigned long stepped_call(void (*call)(void*), void* argument, unsigned long steps) {
  if (sigsetjmp(back, 1) != 0) return 0;
  (void)stop_for_parent(steps);
  call(argument);
  return stop_for_parent(0);
}

static void step_through(void (*call)(void*), void* (*make_argument)(void)) {
  (void)stepped_call(call, make_argument(), ~0ul);
  const unsigned long all = stepped_call(call, make_argument(), ~0ul);
  const unsigned long stride = all * all / 2 / steps_for_each_kind + 1;
  for (volatile unsigned long steps = 1; stepped_call(call, make_argument(), steps) == 0;) steps += stride;
}

static void* nothing(void) { return NULL; }

static int child(void) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) return kNotRun;
  signal(SIGUSR1, on_signal);
  raise(SIGSTOP);
  step_through(call_malloc, nothing);
  step_through(call_free, make_large_calmly);
  step_through(call_growing_realloc, make_small);
  step_through(call_shrinking_realloc, make_large_calmly);
  for (int i = 0; i < kAfter; ++i) {
    void* block = allocate_after();
    if (i < kAfterKept) kept[i] = block;
    else free(block);
  }
  const Calls none = {0, 0};
  storm_site("make_large", counts.made, counts.freed, kLargeBytes, counts.jumps);
  storm_site("grow", counts.grown, none, kLargeBytes, counts.jumps);
  truth_site("allocate_in_handler", counts.jumps, counts.jumps * kHandlerBytes, counts.jumps,
             counts.jumps * kHandlerBytes);
  truth_site("allocate_after", kAfter, kAfter * kAfterBytes, kAfterKept, kAfterKept * kAfterBytes);
  return counts.jumps > 20 ? 0 : 1;
}

// ---- The parent.

static int is_breakpoint(pid_t pid) {
  siginfo_t information;
  return ptrace(PTRACE_GETSIGINFO, pid, NULL, &information) == 0 && information.si_code == SI_KERNEL;
}

// Steps from a breakpoint on. True: that many; false: it came to the next breakpoint before, and is told how many.
static int step(pid_t pid, unsigned long steps) {
  for (unsigned long taken = 0; taken < steps; ++taken) {
    int status;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
      _exit(3);
    }
    if (!is_breakpoint(pid)) continue;
    struct user_regs_struct registers;
    ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    registers.rax = taken;
    ptrace(PTRACE_SETREGS, pid, NULL, &registers);
    return 0;
  }
  return 1;
}

static int parent(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
    int signal_number = WSTOPSIG(status);
    if (signal_number == SIGSTOP) signal_number = 0;
    if (signal_number == SIGTRAP) {
      struct user_regs_struct registers;
      ptrace(PTRACE_GETREGS, pid, NULL, &registers);
      signal_number = step(pid, registers.rax) ? SIGUSR1 : 0;
    }
    ptrace(PTRACE_CONT, pid, NULL, (void*)(long)signal_number);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

int main(int argc, char** argv) {
  steps_for_each_kind = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
  const pid_t pid = fork();
  if (pid < 0) return 2;
  return pid == 0 ? child() : parent(pid);
}

#else
int main(void) { return kNotRun; }
#endif
