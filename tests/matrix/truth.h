// SPDX-License-Identifier: Apache-2.0
//
// How a program of the matrix says what it did: lines in the file that the environment variable MATRIX_TRUTH names,
// which matrix.py compares with the recording. Without the variable nothing is said.
//
//     site FUNCTION ALLOC_BLOCKS ALLOC_BYTES LIVE_BLOCKS LIVE_BYTES
//
// FUNCTION is the one that called malloc, by its name alone; it must be `__attribute__((noinline))`, and its lines add
// up over all processes and threads that write one. Runs in the program under test: any thread, also in a child, in a
// signal handler and after main. Must never allocate, or the truth would change by being told.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void truth_line(const char* line) {
  const int saved = errno;
  const char* path = getenv("MATRIX_TRUTH");
  if (path != NULL) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const ssize_t put = fd < 0 ? -1 : write(fd, line, strlen(line));
    if (put < 0) (void)!write(2, "the truth could not be told\n", 28);
    if (fd >= 0) close(fd);
  }
  errno = saved;
}

static inline void truth_site(const char* function, unsigned long alloc_blocks, unsigned long alloc_bytes,
                              unsigned long live_blocks, unsigned long live_bytes) {
  char line[256];
  snprintf(line, sizeof line, "site %s %lu %lu %lu %lu\n", function, alloc_blocks, alloc_bytes, live_blocks,
           live_bytes);
  truth_line(line);
}

// Keeps the compiler from removing an allocation whose result is not used, or a free of it.
static inline void* escape(void* pointer) {
  __asm__ volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}
