// SPDX-License-Identifier: Apache-2.0
//
// Assembler whose unwind tables lie: the frame ends above the stack, below it, far away; the return address is read
// from memory that cannot be; it leads to itself; an expression that loops, divides by zero, reads a null pointer, or
// runs out of its stack; registers that are said to be nowhere. The code itself is right.
//
// Expected: no fault and no hang; each sample is kept. With UNPARSABLE also such lies that the linker gives up on them
// and makes no table to search, so that the whole program has none.
#include "truth.h"

enum { kTimes = 20, kBytes = 5000 };

#define LYING(NAME, LIE)                                                     \
  __asm__(".text\n.type " #NAME ", @function\n" #NAME                        \
          ":\n.cfi_startproc\n"                                              \
          "  push %rbp\n" LIE                                                \
          "\n  mov %rdi, %rax\n  mov %rsi, %rdi\n  call *%rax\n  pop %rbp\n" \
          "  ret\n.cfi_endproc\n.size " #NAME ", . - " #NAME "\n");          \
  void* NAME(void* (*allocate)(size_t), size_t bytes);

LYING(cfa_above_stack, ".cfi_def_cfa_offset 0x7FFFFFF8")
LYING(cfa_below, ".cfi_def_cfa_offset -64")
LYING(cfa_is_sp, ".cfi_def_cfa_offset 0")
LYING(cfa_in_register, ".cfi_def_cfa %rbx, 16")
LYING(cfa_in_strange_register, ".cfi_def_cfa 31, 16")
LYING(cfa_odd, ".cfi_def_cfa_offset 19")
LYING(return_address_far, ".cfi_def_cfa_offset 16\n.cfi_offset %rip, 0x40000000")
LYING(return_address_same, ".cfi_def_cfa_offset 16\n.cfi_same_value %rip")
LYING(return_address_register, ".cfi_def_cfa_offset 16\n.cfi_register %rip, %rbx")
LYING(all_undefined, ".cfi_def_cfa_offset 16\n.cfi_undefined %rbp\n.cfi_undefined %rsp")
// DW_CFA_def_cfa_expression: DW_OP_skip -3, for ever.
LYING(expression_loops, ".cfi_escape 0x0f, 0x03, 0x2f, 0xfd, 0xff")
// DW_OP_lit0, DW_OP_deref.
LYING(expression_reads_null, ".cfi_escape 0x0f, 0x02, 0x30, 0x06")
// DW_OP_lit1, DW_OP_lit0, DW_OP_div; then the same with mod.
LYING(expression_divides_by_zero, ".cfi_escape 0x0f, 0x03, 0x31, 0x30, 0x1b")
LYING(expression_modulo_zero, ".cfi_escape 0x0f, 0x03, 0x31, 0x30, 0x1d")
// The smallest number by minus one: DW_OP_const8s, DW_OP_const1s, DW_OP_div.
LYING(expression_overflows, ".cfi_escape 0x0f, 0x0c, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b")
// DW_OP_drop of nothing; and more than any stack holds: DW_OP_dup, DW_OP_skip -4.
LYING(expression_of_nothing, ".cfi_escape 0x0f, 0x01, 0x13")
LYING(expression_grows, ".cfi_escape 0x0f, 0x05, 0x31, 0x12, 0x2f, 0xfc, 0xff")
// The return address at an expression that gives 8: DW_CFA_expression rip, DW_OP_lit8.
LYING(return_address_unreadable, ".cfi_def_cfa_offset 16\n.cfi_escape 0x10, 0x10, 0x01, 0x38")
LYING(remembers_for_ever, ".cfi_remember_state\n.cfi_remember_state\n.cfi_def_cfa_offset 16")
#ifdef UNPARSABLE
// Longer than the table: DW_CFA_def_cfa_expression of 16,383 bytes.
LYING(expression_too_long, ".cfi_escape 0x0f, 0xff, 0x7f, 0x30")
LYING(restores_what_never_was, ".cfi_escape 0x0b\n.cfi_def_cfa_offset 16")
LYING(unknown_instruction, ".cfi_escape 0x3f")
#endif

static const struct {
  const char* name;
  void* (*call)(void* (*)(size_t), size_t);
} kLiars[] = {
#define LIAR(name) \
  { #name, name }
    LIAR(cfa_above_stack),
    LIAR(cfa_below),
    LIAR(cfa_is_sp),
    LIAR(cfa_in_register),
    LIAR(cfa_in_strange_register),
    LIAR(cfa_odd),
    LIAR(return_address_far),
    LIAR(return_address_same),
    LIAR(return_address_register),
    LIAR(all_undefined),
    LIAR(expression_loops),
    LIAR(expression_reads_null),
    LIAR(expression_divides_by_zero),
    LIAR(expression_modulo_zero),
    LIAR(expression_overflows),
    LIAR(expression_of_nothing),
    LIAR(expression_grows),
    LIAR(return_address_unreadable),
    LIAR(remembers_for_ever),
#ifdef UNPARSABLE
    LIAR(expression_too_long),
    LIAR(restores_what_never_was),
    LIAR(unknown_instruction),
#endif
};

__attribute__((noinline)) static void* allocates_below_lies(size_t bytes) { return escape(malloc(bytes)); }

int main(void) {
  enum { kCount = sizeof kLiars / sizeof *kLiars };
  for (int i = 0; i < kCount; ++i) {
    for (int time = 0; time < kTimes; ++time) {
      void* block = escape(kLiars[i].call(allocates_below_lies, kBytes));
      if (time != 0) free(block);
    }
    for (int time = 0; time < kTimes; ++time) free(escape(kLiars[i].call(malloc, kBytes)));
    puts(kLiars[i].name);
    fflush(stdout);
  }
  truth_site("allocates_below_lies", kCount * kTimes, kCount * kTimes * kBytes, kCount, kCount * kBytes);
  return 0;
}
