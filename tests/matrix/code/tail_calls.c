// SPDX-License-Identifier: Apache-2.0
//
// Allocation in tail position (a jump, so the function itself is not on the stack), through a chain of three jumps, and
// in a function that ends in a call that never returns, whose return address is therefore the next function's first
// byte.
//
// Expected: what is on the stack is named, and what is not there is not: the jumping ones are in no trace, the one that
// ends in a call is, and its neighbour is not.
#include <setjmp.h>

#include "truth.h"

enum { kTimes = 100, kBytes = 4000 };

static jmp_buf back;

__attribute__((noinline, noclone)) void* jumps_to_malloc(size_t bytes) { return malloc(bytes); }
__attribute__((noinline, noclone)) void* jumps_once_more(size_t bytes) { return jumps_to_malloc(bytes + 1); }
__attribute__((noinline, noclone)) void* jumps_again(size_t bytes) { return jumps_once_more(bytes + 1); }

__attribute__((noinline)) static void* calls_what_jumps(size_t bytes) { return escape(jumps_again(bytes)); }

__attribute__((noinline, noreturn)) static void allocates_and_leaves(void) {
  escape(malloc(kBytes));
  longjmp(back, 1);
}

// In assembler, so that nothing follows the call and the neighbour begins there.
__asm__(
    ".text\n.type ends_in_call, @function\nends_in_call:\n.cfi_startproc\n"
    "  sub $8, %rsp\n.cfi_def_cfa_offset 16\n  call *%rdi\n.cfi_endproc\n.size ends_in_call, . - ends_in_call\n"
    ".type neighbour, @function\nneighbour:\n.cfi_startproc\n  push %rbx\n  .cfi_def_cfa_offset 16\n"
    "  pop %rbx\n  ret\n.cfi_endproc\n.size neighbour, . - neighbour\n");
__attribute__((noreturn)) void ends_in_call(void (*function)(void));

int main(void) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = calls_what_jumps(kBytes - 2);
    if (i != 0) free(block);
  }
  for (volatile int i = 0; i < kTimes; ++i) {
    if (setjmp(back) == 0) ends_in_call(allocates_and_leaves);
  }
  truth_site("calls_what_jumps", kTimes, kTimes * kBytes, 1, kBytes);
  truth_site("allocates_and_leaves", kTimes, kTimes * kBytes, kTimes, kTimes * kBytes);
  return 0;
}
