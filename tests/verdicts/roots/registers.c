// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer is in a register of another thread: a general one of a thread that spins, a general one of
// a thread that waits in the kernel, a vector register, and each of them overwritten.
//
// Expected: reachable; definite where the register is overwritten. Valgrind does not look into vector registers.
#include "threads.h"

// Writes into *there that the thread has arrived, once the register is as it is to be, and stays for ever.
#define ARRIVE "lock incl (%[there])\n\t"
#define SPIN ARRIVE "0: pause\n\tjmp 0b"
#define WAIT                                                                                       \
  ARRIVE                                                                                           \
  "0: movl %[number], %%eax\n\tmovq %[never], %%rdi\n\txorl %%esi, %%esi\n\txorl %%edx, %%edx\n\t" \
  "xorl %%r10d, %%r10d\n\tsyscall\n\tjmp 0b"
// Nothing of the caller's that may hold a pointer outlives this: registers, and what is below the stack pointer.
#define CLEAR                                                                            \
  "leaq -1024(%%rsp), %%rdi\n\tmovl $128, %%ecx\n\txorl %%eax, %%eax\n\trep stosq\n\t"   \
  "xorl %%edx, %%edx\n\txorl %%esi, %%esi\n\txorl %%edi, %%edi\n\txorl %%r8d, %%r8d\n\t" \
  "xorl %%r9d, %%r9d\n\txorl %%r10d, %%r10d\n\txorl %%r11d, %%r11d\n\t"

static int never;

// The register that the pointer is kept in may be changed by `change`.
#define STAYS_WITH(name, bytes, change, how)                                                                 \
  SITE static void name(void) {                                                                              \
    void* block = malloc(bytes);                                                                             \
    __asm__ volatile("movq %%rax, %%r12\n\t" CLEAR change how                                                \
                     : "+a"(block)                                                                           \
                     : [there] "b"(&threads_there), [never] "r"(&never), [number] "i"(SYS_pause)             \
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "xmm7", "memory", "cc"); \
  }                                                                                                          \
  static void* run_##name(void* unused) {                                                                    \
    name();                                                                                                  \
    return unused;                                                                                           \
  }

STAYS_WITH(spins_with_general, 24, "", SPIN)
STAYS_WITH(waits_with_general, 40, "", WAIT)
STAYS_WITH(spins_with_vector, 56, "pinsrq $1, %%r12, %%xmm7\n\txorl %%r12d, %%r12d\n\t", SPIN)
STAYS_WITH(waits_with_vector, 72, "movq %%r12, %%xmm7\n\txorl %%r12d, %%r12d\n\t", WAIT)
STAYS_WITH(spins_with_none, 88, "xorl %%r12d, %%r12d\n\tpxor %%xmm7, %%xmm7\n\t", SPIN)
STAYS_WITH(waits_with_none, 104, "xorl %%r12d, %%r12d\n\tpxor %%xmm7, %%xmm7\n\t", WAIT)

int main(void) {
  begin(run_spins_with_general);
  begin(run_waits_with_general);
  begin(run_spins_with_vector);
  begin(run_waits_with_vector);
  begin(run_spins_with_none);
  begin(run_waits_with_none);
  wait_for_threads(6);
  tell("spins_with_general", "reachable", 1, 24);
  tell("waits_with_general", "reachable", 1, 40);
  tell("spins_with_vector", "reachable", 1, 56);
  tell("waits_with_vector", "reachable", 1, 72);
  tell("spins_with_none", "definite", 1, 88);
  tell("waits_with_none", "definite", 1, 104);
  tell_of_valgrind("spins_with_vector", "definite", 1, 56);
  tell_of_valgrind("waits_with_vector", "definite", 1, 72);
  last_words();
  return 0;
}
