// SPDX-License-Identifier: Apache-2.0
//
// How a program of the verdicts says what is leaked in it: lines in the file that the environment variable
// VERDICTS_TOLD names, which verdicts.py compares with what seep and Valgrind say.
//
//     site FUNCTION VERDICT BLOCKS BYTES        of all the blocks that FUNCTION allocated and that are live at the end
//     valgrind FUNCTION VERDICT BLOCKS BYTES    what Valgrind says of FUNCTION, where that is something else
//     alive FUNCTION                            however many it allocated are live: all are reachable; of Valgrind
//                                               nothing is said
//
// FUNCTION is the one that called malloc, by its name alone; it must be a SITE. Lines of one function and one verdict
// add up, over all processes, too.
//
// Runs in the program under test: any thread, also in a child. Must never allocate. A program must leave no pointer
// behind that is not its subject: it allocates in functions of their own, and then calls forget().
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "The registers of this processor are not known here."
#endif

#ifdef __cplusplus
extern "C" {
#endif
// LeakSanitizer's names, which are there only with seep (or with LeakSanitizer).
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
extern void __lsan_disable(void) __attribute__((weak));
extern void __lsan_enable(void) __attribute__((weak));
extern void __lsan_ignore_object(const void*) __attribute__((weak));
extern void __lsan_register_root_region(const void*, size_t) __attribute__((weak));
extern void __lsan_unregister_root_region(const void*, size_t) __attribute__((weak));
#ifdef __cplusplus
}
#endif

#define SITE __attribute__((noinline))

static inline void tell_line(const char* line) {
  const int saved = errno;
  const char* path = getenv("VERDICTS_TOLD");
  if (path != NULL) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const ssize_t put = fd < 0 ? -1 : write(fd, line, strlen(line));
    if (put < 0) (void)!write(2, "the truth could not be told\n", 28);
    if (fd >= 0) close(fd);
  }
  errno = saved;
}

static inline void tell_as(const char* word, const char* function, const char* verdict, unsigned long blocks,
                           unsigned long bytes) {
  char line[256];
  snprintf(line, sizeof line, "%s %s %s %lu %lu\n", word, function, verdict, blocks, bytes);
  tell_line(line);
}

static inline void tell(const char* function, const char* verdict, unsigned long blocks, unsigned long bytes) {
  tell_as("site", function, verdict, blocks, bytes);
}

static inline void tell_of_valgrind(const char* function, const char* verdict, unsigned long blocks,
                                    unsigned long bytes) {
  tell_as("valgrind", function, verdict, blocks, bytes);
}

static inline void tell_alive(const char* function) {
  char line[256];
  snprintf(line, sizeof line, "alive %s\n", function);
  tell_line(line);
}

// Keeps the compiler from knowing what a pointer is, and so from removing an allocation.
static inline void* escape(void* pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

// A block of zeros: what the allocator or a freed block left in it may be a pointer. The site is its caller.
static inline __attribute__((always_inline)) void* blank(size_t bytes) {
  return escape(memset(escape(malloc(bytes)), 0, bytes));  // pthread_setspecific is known not to read it.
}

// Overwrites what earlier calls left on the stack below the caller, and in the registers that calls may change.
__attribute__((noinline, unused)) static void forget(void) {
  char below[48 << 10];
  memset(below, 0, sizeof below);
  escape(below);
  __asm__ volatile(
      "xorl %%eax, %%eax; xorl %%ecx, %%ecx; xorl %%edx, %%edx; xorl %%esi, %%esi; xorl %%edi, %%edi\n\t"
      "xorl %%r8d, %%r8d; xorl %%r9d, %%r9d; xorl %%r10d, %%r10d; xorl %%r11d, %%r11d\n\t"
      "pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm2, %%xmm2; pxor %%xmm3, %%xmm3\n\t"
      "pxor %%xmm4, %%xmm4; pxor %%xmm5, %%xmm5; pxor %%xmm6, %%xmm6; pxor %%xmm7, %%xmm7\n\t"
      "pxor %%xmm8, %%xmm8; pxor %%xmm9, %%xmm9; pxor %%xmm10, %%xmm10; pxor %%xmm11, %%xmm11\n\t"
      "pxor %%xmm12, %%xmm12; pxor %%xmm13, %%xmm13; pxor %%xmm14, %%xmm14; pxor %%xmm15, %%xmm15"
      :
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory");
  if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroall" : : : "memory");
  if (__builtin_cpu_supports("avx512f")) {
    __asm__ volatile(
        ".irp number, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
        "vpxorq %%zmm\\number, %%zmm\\number, %%zmm\\number\n\t"
        ".endr"
        :
        :
        : "memory");
  }
}

// To be called last before the end: where VERDICTS_REQUEST is set, the scan is asked for here, and not done at exit.
__attribute__((noinline, unused)) static void last_words(void) {
  forget();
  if (getenv("VERDICTS_REQUEST") == NULL) return;
  if (__lsan_do_recoverable_leak_check == NULL) {
    (void)!write(2, "nobody to ask for a scan\n", 25);
    _exit(99);
  }
  (void)__lsan_do_recoverable_leak_check();
}

// What must not fail in a program.
static inline void must(int good, const char* what) {
  if (good) return;
  const int saved = errno;
  char line[256];
  snprintf(line, sizeof line, "failed: %s, errno %d\n", what, saved);
  (void)!write(2, line, strlen(line));
  _exit(98);
}
