// SPDX-License-Identifier: Apache-2.0
//
// x86-64: system calls without libc (so that no interposed wrapper, errno or cancellation point is in the way), the
// registers that a stack walk starts from, and their DWARF numbers (System V ABI for x86-64, figure 3.36).
// Runs inside the host, on any thread and in signal handlers; touches nothing but registers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define SEEP_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SEEP_THREAD_SANITIZER
#endif
#endif

namespace seep {

inline constexpr const char* kArchitecture = "x86_64";
// How a program for it begins (ELF gABI, chapter 4): ELFCLASS64, EM_X86_64.
inline constexpr unsigned kElfClass = 2;
inline constexpr unsigned kElfMachine = 62;
// What a seccomp filter is told (linux/audit.h): AUDIT_ARCH_X86_64.
inline constexpr uint32_t kAuditArchitecture = 0xC000003E;

// Returns what the kernel returns: a negative errno on failure.
inline long kernel_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

// clone(2) with `flags` of a thread; it calls function(argument) on the stack that ends at `top` (aligned to 16), and
// is gone. With CLONE_CHILD_CLEARTID, `cleared` is zero then and its waiters are woken (futex(2), not a private one).
// Its tid, or a negative errno.
inline long clone_and_call(unsigned long flags, void* top, void (*function)(void*), void* argument,
                           void* cleared = nullptr) noexcept {
  constexpr long kClone = 56;
  long result;
  register void* r10 __asm__("r10") = cleared;
  register void (*r8)(void*) __asm__("r8") = function;
  register void* r9 __asm__("r9") = argument;
  __asm__ volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "xorl %%edi, %%edi\n\t"
      "movl $60, %%eax\n\t"  // exit(2): this thread alone.
      "syscall\n\t"
      "hlt\n\t"
      "1:"
      : "=a"(result)
      : "a"(kClone), "D"(flags), "S"(top), "d"(0), "r"(r10), "r"(r8), "r"(r9)
      : "rcx", "r11", "memory", "cc");
  return result;
}

// DWARF register numbers.
inline constexpr unsigned kDwarfRegisters = 17;
inline constexpr unsigned kDwarfRbx = 3;
inline constexpr unsigned kDwarfFramePointer = 6;
inline constexpr unsigned kDwarfStackPointer = 7;
inline constexpr unsigned kDwarfReturnAddress = 16;
inline constexpr unsigned kDwarfFirstArgument = 5;

// Those that a call preserves, besides the stack pointer: a caller's frame may be found through any of them.
inline constexpr unsigned kPreservedRegisters[] = {3, 6, 12, 13, 14, 15};
inline constexpr unsigned kPreservedRegisterCount = 6;

struct Registers {
  uint64_t value[kDwarfRegisters];
  uint32_t valid;  // Bit n: value[n] is known.

  [[nodiscard]] bool has(unsigned number) const noexcept { return number < kDwarfRegisters && (valid >> number & 1); }
  void set(unsigned number, uint64_t to) noexcept {
    value[number] = to;
    valid |= 1u << number;
  }
};

// The registers here and now. Inlined, so that the walk starts in the caller itself.
__attribute__((always_inline)) inline void capture_registers(Registers& registers) noexcept {
  uint64_t* v = registers.value;
  __asm__ volatile(
      "leaq 0(%%rip), %%rax\n\t"
      "movq %%rax, 128(%0)\n\t"
      "movq %%rbx, 24(%0)\n\t"
      "movq %%rbp, 48(%0)\n\t"
      "movq %%rsp, 56(%0)\n\t"
      "movq %%r12, 96(%0)\n\t"
      "movq %%r13, 104(%0)\n\t"
      "movq %%r14, 112(%0)\n\t"
      "movq %%r15, 120(%0)"
      :
      : "r"(v)
      : "rax", "memory");
  registers.valid = 1u << 3 | 1u << 6 | 1u << 7 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 15 | 1u << 16;
}

// Adds to a counter that this thread alone writes, others may read it at any time: one instruction, so that a signal
// handler that does the same comes before or after it, and not locked.
inline void add_alone(std::atomic<uint64_t>& counter, uint64_t value) noexcept {
#if defined(SEEP_THREAD_SANITIZER)
  counter.fetch_add(value, std::memory_order_relaxed);  // What the sanitizer can see.
#else
  __asm__("addq %1, %0" : "+m"(*reinterpret_cast<uint64_t*>(&counter)) : "er"(value) : "cc");
#endif
}

// Whether a byte that others may write at any time is not 0, now: one instruction, which compilers do not make of an
// atomic load.
[[nodiscard]] __attribute__((always_inline)) inline bool is_not_zero(const uint8_t& byte) noexcept {
#if defined(SEEP_THREAD_SANITIZER)
  return __atomic_load_n(&byte, __ATOMIC_RELAXED) != 0;  // What the sanitizer can see.
#else
  bool is;
  __asm__ volatile("cmpb $0, %1" : "=@ccne"(is) : "m"(byte));
  return is;
#endif
}

// A hook's way out of its fast path: a function NAME that jumps to TARGET with all arguments as they are, and behind
// the two that a hook has at most where its caller's frame is: the address of the return address, and the frame pointer
// as the caller had it, which compiled code is free to overwrite. TARGET is extern "C".
#define SEEP_JUMP_WITH_CALLER(NAME, TARGET)                        \
  __asm__(".pushsection .text." #NAME                              \
          ",\"ax\",@progbits\n\t"                                  \
          ".hidden " #NAME "\n\t.type " #NAME ",@function\n" #NAME \
          ":\n\t.cfi_startproc\n\t"                                \
          "movq %rsp, %rdx\n\t"                                    \
          "movq %rbp, %rcx\n\t"                                    \
          "jmp " #TARGET                                           \
          "\n\t.cfi_endproc\n\t"                                   \
          ".size " #NAME ", .-" #NAME "\n\t.popsection")

inline uintptr_t stack_pointer() noexcept {
  uintptr_t sp;
  __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
  return sp;
}

// The address of the thread's control block, which glibc lays at the high end of a thread's stack.
inline uintptr_t thread_pointer() noexcept { return reinterpret_cast<uintptr_t>(__builtin_thread_pointer()); }

// Bytes below the stack pointer that a function may use without moving it (System V ABI for x86-64, 3.2.2).
inline constexpr size_t kRedZoneBytes = 128;

// glibc's thread control block, in bytes from the thread pointer (tcbhead_t): a pointer to itself stands at two places,
// and between them one to the thread's DTV, which points this far behind the start of the block it was allocated as.
inline constexpr size_t kControlBlockSelf = 0, kControlBlockSelfAgain = 16, kControlBlockDtv = 8;
inline constexpr size_t kDtvOffset = 16;

// Calls function(argument) with the stack pointer at `top` (aligned to 16), and comes back to this stack.
__attribute__((noinline)) inline void call_on_stack(void (*function)(void*), void* argument, void* top) noexcept {
  register long saved __asm__("rbx");
  __asm__ volatile(
      "movq %%rsp, %%rbx\n\t"
      "movq %2, %%rsp\n\t"
      "call *%1\n\t"
      "movq %%rbx, %%rsp"
      : "=&r"(saved), "+r"(function), "+r"(top), "+D"(argument)
      :
      : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
        "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

// What a signal handler returns to (rt_sigreturn), which rt_sigaction wants to be told here: SA_RESTORER.
inline constexpr unsigned long kSignalRestorerFlag = 0x04000000;
__attribute__((naked)) inline void return_from_signal() noexcept {
  __asm__ volatile(
      "movl $15, %eax\n\t"
      "syscall");
}

// A stopped thread's registers as the kernel lays them out: NT_PRSTATUS of ptrace(2) is struct user_regs_struct, and a
// signal's frame has an mcontext_t within its ucontext_t. In words; bit n of a mask: word n may be an address.
inline constexpr unsigned kPtraceWords = 27;
inline constexpr unsigned kPtraceStackPointer = 19;
inline constexpr unsigned kPtraceThreadPointer = 21;
inline constexpr uint32_t kPtraceAddresses = 0x7FFF | 1u << 16 | 1u << 19 | 1u << 21 | 1u << 22;
// The DWARF number of each of these words; -1: none.
inline constexpr int8_t kPtraceDwarf[kPtraceWords] = {15, 14, 13, 12, 6,  3, 11, 10, 9,  8,  0,  2,  1, 4,
                                                      5,  -1, 16, -1, -1, 7, -1, -1, -1, -1, -1, -1, -1};
inline constexpr unsigned kFrameFirstWord = 5;  // Of gregs, in ucontext_t.
inline constexpr unsigned kFrameWords = 17;     // r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
inline constexpr int8_t kFrameDwarf[kFrameWords] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};
inline constexpr unsigned kFrameStackPointer = 15;
inline constexpr unsigned kFrameVectorState = 28;      // Where ucontext_t points to the XSAVE area.
inline constexpr unsigned kGetThreadPointer = 0x1003;  // arch_prctl(2): ARCH_GET_FS.

// The XSAVE area (Intel SDM 1, 13.4), as ptrace and a signal's frame hold it: xmm at byte 160, the header at 512, ymm
// and more from 576 on. Tile data, behind all that, holds no addresses.
inline constexpr unsigned kVectorRegisterSet = 0x202;  // NT_X86_XSTATE.
inline constexpr size_t kVectorStateBytes = 2752;
inline constexpr size_t kMostVectorWords = (256 + kVectorStateBytes - 576) / sizeof(uint64_t);

// Calls visit(word) for each 8 bytes of the vector registers that are in use. `area` has `bytes`, aligned to 8.
template <typename Visit>
void for_each_vector_word(const void* area, size_t bytes, Visit visit) noexcept {
  const auto* words = static_cast<const uint64_t*>(area);
  const size_t last = (bytes < kVectorStateBytes ? bytes : kVectorStateBytes) / sizeof(uint64_t);
  // XSTATE_BV: the other components are as after a reset, and what the area holds of them may be anything.
  const uint64_t in_use = last > 64 ? words[64] : 2;
  constexpr size_t kXmm = 160 / 8, kXmmEnd = 416 / 8, kYmm = 576 / 8, kYmmEnd = 832 / 8;
  for (size_t i = kXmm; (in_use & 2) != 0 && i < kXmmEnd && i < last; ++i) visit(words[i]);
  for (size_t i = kYmm; (in_use & 4) != 0 && i < kYmmEnd && i < last; ++i) visit(words[i]);
  for (size_t i = kYmmEnd; (in_use & 0xE0) != 0 && i < last; ++i) visit(words[i]);
}

// Bytes of the XSAVE area in a signal's frame, by what the kernel says behind the legacy part of it.
inline size_t vector_state_bytes_in_frame(const void* area) noexcept {
  constexpr size_t kSoftwareBytes = 464, kLegacyBytes = 512;
  constexpr uint32_t kMagic = 0x46505853;
  const auto* software = reinterpret_cast<const uint32_t*>(static_cast<const char*>(area) + kSoftwareBytes);
  return software[0] == kMagic ? software[4] : kLegacyBytes;
}

}  // namespace seep
