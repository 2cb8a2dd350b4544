// SPDX-License-Identifier: Apache-2.0
//
// Machine code that no unwind table describes, for the programs of this group: with a frame pointer as the convention
// has it, and with any value in that register, as JIT compilers use it for what they like.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Calls allocate(bytes) from code without tables: with the frame pointer that is given in that register, or one of its
// own.
typedef void* (*calls_malloc)(void* (*allocate)(size_t), size_t bytes, uintptr_t frame_pointer);

// push rbp; mov rbp, rsp; mov rax, rdi; mov rdi, rsi; call rax; pop rbp; ret
static const unsigned char kWithFramePointer[] = {0x55, 0x48, 0x89, 0xE5, 0x48, 0x89, 0xF8,
                                                  0x48, 0x89, 0xF7, 0xFF, 0xD0, 0x5D, 0xC3};
// push rbp; mov rbp, rdx; mov rax, rdi; mov rdi, rsi; call rax; pop rbp; ret
static const unsigned char kWithoutFramePointer[] = {0x55, 0x48, 0x89, 0xD5, 0x48, 0x89, 0xF8,
                                                     0x48, 0x89, 0xF7, 0xFF, 0xD0, 0x5D, 0xC3};

static inline calls_malloc make_code(const unsigned char* code, size_t code_bytes) {
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) abort();
  memcpy(page, code, code_bytes);
  if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0) abort();
  return (calls_malloc)(uintptr_t)page;
}
