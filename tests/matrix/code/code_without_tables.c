// SPDX-License-Identifier: Apache-2.0
//
// JIT code in mapped memory, and assembler in the program, that no unwind table describes, call malloc: with a frame
// pointer, and with anything at all in that register: nothing, an odd number, the kernel's half, memory that cannot be
// read, the stack's last word, the frame itself, a frame further down, and random words.
//
// Expected: no fault; each sample is kept. With a frame pointer the trace goes on to `with_frame_pointer`, from
// assembler that has none it is cut, and it is counted that it was.
#include "machine_code.h"
#include "truth.h"

enum { kTimes = 200, kBytes = 5000 };

// Two functions as kWithFramePointer and kWithoutFramePointer, without a .cfi line.
__asm__(
    ".text\n"
    ".type assembler_with_frame_pointer, @function\n"
    "assembler_with_frame_pointer:\n"
    "  push %rbp\n  mov %rsp, %rbp\n  mov %rdi, %rax\n  mov %rsi, %rdi\n  call *%rax\n  pop %rbp\n  ret\n"
    ".size assembler_with_frame_pointer, . - assembler_with_frame_pointer\n"
    ".type assembler_without_frame_pointer, @function\n"
    "assembler_without_frame_pointer:\n"
    "  push %rbp\n  mov %rdx, %rbp\n  mov %rdi, %rax\n  mov %rsi, %rdi\n  call *%rax\n  pop %rbp\n  ret\n"
    ".size assembler_without_frame_pointer, . - assembler_without_frame_pointer\n");
void* assembler_with_frame_pointer(void* (*allocate)(size_t), size_t bytes, uintptr_t frame_pointer);
void* assembler_without_frame_pointer(void* (*allocate)(size_t), size_t bytes, uintptr_t frame_pointer);

__attribute__((noinline)) static void with_frame_pointer(calls_malloc code) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = escape(code(malloc, kBytes, 0));
    if (i != 0) free(block);
  }
}

__attribute__((noinline)) static void without_frame_pointer(calls_malloc code, uintptr_t value) {
  for (int i = 0; i < kTimes; ++i) free(escape(code(malloc, kBytes, value)));
}

// Malloc is not called by code without tables here, but by a function above it.
__attribute__((noinline)) static void* allocates_above(size_t bytes) { return escape(malloc(bytes)); }

static uintptr_t stack_end(void) {
  unsigned long start = 0, end = 0;
  char line[4096];
  FILE* maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    if (strstr(line, "[stack]") != NULL) sscanf(line, "%lx-%lx", &start, &end);
  }
  if (maps != NULL) fclose(maps);
  return end;
}

int main(void) {
  const calls_malloc jit_with = make_code(kWithFramePointer, sizeof kWithFramePointer);
  const calls_malloc jit_without = make_code(kWithoutFramePointer, sizeof kWithoutFramePointer);
  with_frame_pointer(jit_with);
  with_frame_pointer(assembler_with_frame_pointer);
  uintptr_t here[8];
  for (int i = 0; i < 8; ++i) here[i] = (uintptr_t)&here[i];  // Frames that lead to themselves.
  here[4] = (uintptr_t)&here[2];                              // And one that leads down.
  here[5] = (uintptr_t)&main;
  const uintptr_t end = stack_end();
  void* unreadable = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const uintptr_t values[] = {
      0,       1,        (uintptr_t)here + 4, ~(uintptr_t)0,       (uintptr_t)1 << 63, (uintptr_t)unreadable, end,
      end - 8, end - 16, (uintptr_t)&here[0], (uintptr_t)&here[4], (uintptr_t)&main,   (uintptr_t)stdout};
  const size_t count = sizeof values / sizeof *values;
  for (size_t i = 0; i < count; ++i) {
    without_frame_pointer(jit_without, values[i]);
    without_frame_pointer(assembler_without_frame_pointer, values[i]);
  }
  uint64_t random = 1;
  for (int i = 0; i < 2000; ++i) {  // Anywhere in the stack.
    random = random * 6364136223846793005u + 1442695040888963407u;
    const uintptr_t value = (uintptr_t)here + (random >> 33) % (end - (uintptr_t)here);
    free(escape(jit_without(malloc, kBytes, value)));
  }
  for (int i = 0; i < kTimes; ++i) {
    void* block = escape(jit_without(allocates_above, kBytes, (uintptr_t)&here[i % 8]));
    if (i != 0) free(block);
  }
  truth_site("allocates_above", kTimes, kTimes * kBytes, 1, kBytes);
  puts("ends well");
  return 0;
}
