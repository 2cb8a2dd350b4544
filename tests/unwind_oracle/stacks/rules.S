// SPDX-License-Identifier: Apache-2.0
//
// Functions whose unwind tables use what compilers seldom write: expressions, registers in registers, a return address
// that has moved. Each takes a descent on by rules_go_on, and the tables hold at every instruction. Register numbers
// are DWARF's: 0 rax, 3 rbx, 6 rbp, 7 rsp, 12 r12, 13 r13, 14 r14, 16 the return address.

        .macro  function name
        .globl  \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
        .endm

        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        .macro  save register
        push    \register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \register, 0
        .endm

        .macro  restore register
        pop     \register
        .cfi_adjust_cfa_offset -8
        .cfi_restore \register
        .endm

        .text

// CFA: DW_OP_breg7 8, DW_OP_deref, DW_OP_plus_uconst 16. As of code that aligns its stack for good.
function rule_cfa_by_expression
        save    %rbx
        mov     %rsp, %rbx
        .cfi_def_cfa_register %rbx
        sub     $64, %rsp
        and     $-64, %rsp
        mov     %rbx, 8(%rsp)
        .cfi_escape 0x0f, 5, 0x77, 8, 0x06, 0x23, 16
        xor     %ebx, %ebx
        call    rules_go_on
        mov     8(%rsp), %rsp
        .cfi_def_cfa %rsp, 16
        restore %rbx
        ret
end rule_cfa_by_expression

// CFA: rsp + 32, by jumps, and by what moves things about on the evaluator's stack:
// breg7 0; const1u 8; lit2; shl; plus (rsp + 32); skip 1; (none); lit1; bra 1; (none); lit8; minus (rsp + 24);
// lit8; over; plus; swap; pick 1; rot; minus; dup; plus; plus (rsp + 48); lit16; minus; lit1; drop.
function rule_cfa_by_moves
        sub     $24, %rsp
        .cfi_escape 0x0f, 33, 0x77, 0, 0x08, 8, 0x32, 0x24, 0x22, 0x2f, 1, 0, 0xff, 0x31, 0x28, 1, 0, 0xff, 0x38, 0x1c
        .cfi_escape 0x38, 0x14, 0x22, 0x16, 0x15, 1, 0x17, 0x1c, 0x12, 0x22, 0x22, 0x40, 0x1c, 0x31, 0x13
        call    rules_go_on
        add     $24, %rsp
        .cfi_def_cfa %rsp, 8
        ret
end rule_cfa_by_moves

// CFA: rsp + 32, by arithmetic:
// bregx 7, 0; const1s -7; abs; lit3; mul; lit5; mod (1); const4u 16; lit4; shr; plus (2);
// constu 200; consts -100; div; neg; plus (4); lit0; not; lit31; and; lit7; minus; plus (28);
// const8s -64; lit4; shra; neg; xor (24); lit2; lit3; lt; lit3; lit3; ge; eq; lit3; shl; plus (32); plus.
function rule_cfa_by_arithmetic
        sub     $24, %rsp
        .cfi_escape 0x0f, 64, 0x92, 7, 0, 0x09, 0xf9, 0x19, 0x33, 0x1e, 0x35, 0x1d, 0x0c, 16, 0, 0, 0, 0x34, 0x25, 0x22
        .cfi_escape 0x10, 0xc8, 0x01, 0x11, 0x9c, 0x7f, 0x1b, 0x1f, 0x22, 0x30, 0x20, 0x4f, 0x1a, 0x37, 0x1c, 0x22
        .cfi_escape 0x0f, 0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x34, 0x26, 0x1f, 0x27
        .cfi_escape 0x32, 0x33, 0x2d, 0x33, 0x33, 0x2a, 0x29, 0x33, 0x24, 0x22, 0x22, 0x96, 0x96, 0x96, 0x96, 0x96, 0x96
        call    rules_go_on
        add     $24, %rsp
        .cfi_def_cfa %rsp, 8
        ret
end rule_cfa_by_arithmetic

function rule_cfa_by_other_register
        save    %r14
        mov     %rsp, %r14
        .cfi_def_cfa_register %r14
        sub     $5000, %rsp
        and     $-256, %rsp
        call    rules_go_on
        mov     %r14, %rsp
        .cfi_def_cfa_register %rsp
        restore %r14
        ret
end rule_cfa_by_other_register

// Nothing is left of it on the stack.
function rule_return_address_in_register
        save    %r12
        mov     8(%rsp), %r12
        .cfi_register 16, 12
        movq    $0, 8(%rsp)
        call    rules_go_on
        mov     %r12, 8(%rsp)
        .cfi_offset 16, -8
        restore %r12
        ret
end rule_return_address_in_register

// At CFA - 24: two words have been slipped in above it.
function rule_return_address_elsewhere
        pop     %rax
        .cfi_def_cfa_offset 0
        .cfi_register 16, 0
        push    $1
        .cfi_adjust_cfa_offset 8
        push    $2
        .cfi_adjust_cfa_offset 8
        push    %rax
        .cfi_adjust_cfa_offset 8
        .cfi_offset 16, -24
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    rules_go_on
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        pop     %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register 16, 2
        add     $16, %rsp
        .cfi_adjust_cfa_offset -16
        jmp     *%rcx
end rule_return_address_elsewhere

// The next functions put rbx elsewhere, and the one that calls them finds its own frame by it.
        .macro  caller name inner
function \name
        save    %rbx
        mov     %rsp, %rbx
        .cfi_def_cfa_register %rbx
        call    \inner
        mov     %rbx, %rsp
        .cfi_def_cfa_register %rsp
        restore %rbx
        ret
end \name
        .endm

caller rule_register_in_register inner_in_register
caller rule_register_is_offset inner_is_offset
caller rule_register_is_expression inner_is_expression
caller rule_register_at_expression inner_at_expression

function inner_in_register
        save    %r13
        mov     %rbx, %r13
        .cfi_register %rbx, %r13
        mov     $0x1234, %ebx
        call    rules_go_on
        mov     %r13, %rbx
        .cfi_restore %rbx
        restore %r13
        ret
end inner_in_register

// It is the CFA itself.
function inner_is_offset
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        .cfi_escape 0x14, 3, 0          // DW_CFA_val_offset rbx, 0
        xor     %ebx, %ebx
        call    rules_go_on
        lea     16(%rsp), %rbx
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
end inner_is_offset

function inner_is_expression
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        .cfi_escape 0x16, 3, 4, 0x23, 8, 0x38, 0x1c     // DW_CFA_val_expression rbx: CFA + 8 - 8
        xor     %ebx, %ebx
        call    rules_go_on
        lea     16(%rsp), %rbx
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
end inner_is_expression

function inner_at_expression
        sub     $40, %rsp
        .cfi_adjust_cfa_offset 40
        mov     %rbx, 24(%rsp)
        .cfi_escape 0x10, 3, 3, 0x77, 24, 0x96          // DW_CFA_expression rbx: at rsp + 24
        xor     %ebx, %ebx
        call    rules_go_on
        mov     24(%rsp), %rbx
        .cfi_restore %rbx
        add     $40, %rsp
        .cfi_adjust_cfa_offset -40
        ret
end inner_at_expression

// Returns early at three depths; remembers six states at most. The offsets are whole ones, since clang's assembler
// adjusts what was last, and not what it restored.
function rule_remembered_states
        push    %rbx
        .cfi_def_cfa_offset 16
        .cfi_offset %rbx, -16
        mov     %rdi, %rbx
        .cfi_remember_state
        test    %rdi, %rdi
        jnz     1f
        pop     %rbx
        .cfi_def_cfa_offset 8
        .cfi_restore %rbx
        ret
1:      .cfi_restore_state
        push    %rbp
        .cfi_def_cfa_offset 24
        .cfi_offset %rbp, -24
        .cfi_remember_state
        push    %r12
        .cfi_def_cfa_offset 32
        .cfi_offset %r12, -32
        .cfi_remember_state
        .cfi_remember_state
        .cfi_remember_state
        .cfi_remember_state
        .cfi_remember_state
        .cfi_restore_state
        .cfi_restore_state
        .cfi_restore_state
        .cfi_restore_state
        test    %rdi, %rdi
        jnz     2f
        add     $8, %rsp
        .cfi_def_cfa_offset 24
        .cfi_restore %r12
        pop     %rbp
        .cfi_def_cfa_offset 16
        .cfi_restore %rbp
        pop     %rbx
        .cfi_def_cfa_offset 8
        .cfi_restore %rbx
        ret
2:      .cfi_restore_state
        call    rules_go_on
        pop     %r12
        .cfi_restore_state
        pop     %rbp
        .cfi_def_cfa_offset 16
        .cfi_restore %rbp
        pop     %rbx
        .cfi_def_cfa_offset 8
        .cfi_restore %rbx
        ret
end rule_remembered_states

// Rows that are 300, 70,000 and more bytes apart: advance_loc1, 2 and 4.
function rule_long_function
        save    %rbx
        jmp     1f
        .fill   200, 1, 0x90
1:      save    %rbp
        jmp     2f
        .fill   3000, 1, 0x90
2:      save    %r15
        jmp     3f
        .fill   70000, 1, 0x90
3:      sub     $48000, %rsp
        .cfi_adjust_cfa_offset 48000
        call    rules_go_on
        add     $48000, %rsp
        .cfi_adjust_cfa_offset -48000
        restore %r15
        restore %rbp
        restore %rbx
        ret
end rule_long_function

// Operations that assemblers use for other registers or offsets, or not at all. The data alignment is -8.
caller rule_extended_operations inner_extended_operations
caller rule_extended_signed_operations inner_extended_signed_operations
caller rule_restored_registers inner_restored_registers

function inner_extended_operations
        push    %rbx
        .cfi_escape 0x13, 0x7e                  // def_cfa_offset_sf -2: 16
        .cfi_escape 0x05, 3, 2                  // offset_extended rbx, 2: CFA - 16
        xor     %ebx, %ebx
        sub     $16, %rsp
        .cfi_escape 0x2e, 16                    // GNU_args_size
        .cfi_escape 0x13, 0x7c                  // def_cfa_offset_sf -4: 32
        call    rules_go_on
        .cfi_escape 0x2e, 0
        add     $16, %rsp
        .cfi_def_cfa_offset 16
        pop     %rbx
        .cfi_def_cfa_offset 8
        .cfi_escape 0x06, 3                     // restore_extended rbx
        ret
end inner_extended_operations

function inner_extended_signed_operations
        push    %rbx
        .cfi_escape 0x0e, 16                    // def_cfa_offset 16
        .cfi_escape 0x11, 3, 2                  // offset_extended_sf rbx, 2: CFA - 16
        mov     %rsp, %rbx
        .cfi_escape 0x0d, 3                     // def_cfa_register rbx
        sub     $16, %rsp
        .cfi_escape 0x12, 7, 0x7c               // def_cfa_sf rsp, -4: 32
        xor     %ebx, %ebx
        call    rules_go_on
        add     $16, %rsp
        .cfi_def_cfa_offset 16
        pop     %rbx
        .cfi_def_cfa_offset 8
        .cfi_restore %rbx
        ret
end inner_extended_signed_operations

// rbx stays as it is, whatever has been said of it before.
function inner_restored_registers
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        .cfi_escape 0x07, 3                     // undefined rbx
        .cfi_escape 0x06, 3                     // restore_extended rbx
        .cfi_escape 0x07, 12                    // undefined r12
        .cfi_escape 0x08, 12                    // same_value r12
        call    rules_go_on
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
end inner_restored_registers

// A frame that calls itself a signal's: its caller's pc is exact.
function rule_signal_frame
        .cfi_signal_frame
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    rules_go_on
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
end rule_signal_frame

// It has a caller, but says that there is none.
function rule_outermost
        .cfi_undefined 16
        sub     $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    rules_go_on
        add     $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
end rule_outermost

// What is before a function's first byte is another's.
function rule_fault_at_first_byte
        ud2
        ret
end rule_fault_at_first_byte

function rule_fault_in_prologue
        save    %rbx
        ud2
        save    %rbp
        ud2
        restore %rbp
        restore %rbx
        ret
end rule_fault_in_prologue

function rule_fault_at_return
        save    %rbp
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $24, %rsp
        leave
        .cfi_def_cfa %rsp, 8
        .cfi_restore %rbp
        ud2
        ret
end rule_fault_at_return

// As longjmp when it is about to jump: nothing of it is on the stack any more, nor does the CFA say where that is.
function rule_fault_in_jump
        lea     -64(%rsp), %rdi
        lea     8(%rsp), %r8
        mov     %rbp, %r9
        mov     (%rsp), %rdx
        .cfi_def_cfa %rdi, 0
        .cfi_register %rsp, %r8
        .cfi_register %rbp, %r9
        .cfi_register 16, 1
        mov     %r8, %rsp
        xor     %ebp, %ebp
        ud2
        mov     %r9, %rbp
        jmp     *%rdx
end rule_fault_in_jump

        .section .note.GNU-stack, "", @progbits
