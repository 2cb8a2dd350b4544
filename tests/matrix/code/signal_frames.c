// SPDX-License-Identifier: Apache-2.0
//
// Signal handlers that allocate, of signals that came in every kind of place: from raise(), at the first byte of a
// function (which its frame has not been made for yet), in the middle of a prologue, by a call of a null pointer, by a
// jump to memory that holds no code; on the normal stack, on an alternate one, and nested.
//
// Expected: no fault that is not the program's own. The traces lead through the handler and the signal frame to the
// function that was interrupted, by its right name, and on to main.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

#include "truth.h"

enum { kTimes = 30, kBytes = 6000 };

static sigjmp_buf back;

__asm__(
    ".text\n.type before_it, @function\nbefore_it:\n.cfi_startproc\n  push %rbx\n.cfi_def_cfa_offset 16\n"
    "  pop %rbx\n.cfi_def_cfa_offset 8\n  ret\n.cfi_endproc\n.size before_it, . - before_it\n"
    ".type traps_at_first_byte, @function\ntraps_at_first_byte:\n.cfi_startproc\n"
    "  ud2\n  ret\n.cfi_endproc\n.size traps_at_first_byte, . - traps_at_first_byte\n"
    ".type traps_in_prologue, @function\ntraps_in_prologue:\n.cfi_startproc\n"
    "  push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset %rbp, -16\n  ud2\n  mov %rsp, %rbp\n.cfi_def_cfa_register %rbp\n"
    "  pop %rbp\n.cfi_def_cfa %rsp, 8\n  ret\n.cfi_endproc\n.size traps_in_prologue, . - traps_in_prologue\n");
void traps_at_first_byte(void);
void traps_in_prologue(void);

__attribute__((noinline)) static void allocates_in_handler(void) { free(escape(malloc(kBytes))); }

static void on_raise(int signal) {
  allocates_in_handler();
  if (signal == SIGUSR1) raise(SIGUSR2);
  escape(NULL);  // So that it is a call and not a jump.
}

static void on_trap(int signal, siginfo_t* information, void* context) {
  (void)signal, (void)information;
  allocates_in_handler();
  ((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP] += 2;  // Behind the ud2.
}

static void on_fault(int signal) {
  (void)signal;
  allocates_in_handler();
  siglongjmp(back, 1);
}

static void handle(int signal, int flags, void* handler) {
  struct sigaction action = {.sa_flags = flags};
  if (flags & SA_SIGINFO) action.sa_sigaction = (void (*)(int, siginfo_t*, void*))handler;
  else action.sa_handler = (void (*)(int))handler;
  sigaction(signal, &action, NULL);
}

__attribute__((noinline)) static void calls(void (*function)(void)) {
  function();
  escape(NULL);
}

__attribute__((noinline)) static void calls_and_comes_back(void* no_code) {
  if (sigsetjmp(back, 1) == 0) calls((void (*)(void))escape(no_code));
}

int main(void) {
  static char data[64] __attribute__((aligned(64)));
  static char alternate[1 << 16];
  const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  unsigned long blocks = 0;
  for (int on_alternate = 0; on_alternate < 2; ++on_alternate) {
    const int flags = on_alternate ? SA_ONSTACK : 0;
    handle(SIGUSR1, flags, (void*)on_raise);
    handle(SIGUSR2, flags, (void*)on_raise);
    handle(SIGILL, flags | SA_SIGINFO, (void*)on_trap);
    handle(SIGSEGV, flags, (void*)on_fault);
    for (int i = 0; i < kTimes; ++i) {
      raise(SIGUSR1);
      calls(traps_at_first_byte);
      calls(traps_in_prologue);
      calls_and_comes_back(NULL);
      calls_and_comes_back(data);
      calls_and_comes_back((void*)(UINTPTR_MAX / 2 + 12));
      blocks += 7;
    }
  }
  truth_site("allocates_in_handler", blocks, blocks * kBytes, 0, 0);
  puts("ends well");
  return 0;
}
