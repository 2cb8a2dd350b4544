// SPDX-License-Identifier: Apache-2.0
//
// truth.h for programs of several processes: a line more, in the file MATRIX_TRUTH.processes, says which process did
// it, so that test_processes.py can look at each process's own stream.
//
//     PID FUNCTION ALLOC_BLOCKS ALLOC_BYTES LIVE_BLOCKS LIVE_BYTES
//
// Runs in the program under test, in any process of it. Must never allocate.
#pragma once

#include "truth.h"

// What the process `pid` did in a function, told by whoever knows it.
static inline void process_truth(pid_t pid, const char* function, unsigned long alloc_blocks, unsigned long alloc_bytes,
                                 unsigned long live_blocks, unsigned long live_bytes) {
  const int saved = errno;
  char path[4096], line[256];
  const char* truth = getenv("MATRIX_TRUTH");
  truth_site(function, alloc_blocks, alloc_bytes, live_blocks, live_bytes);
  if (truth == NULL) return;
  snprintf(path, sizeof path, "%s.processes", truth);
  const int length = snprintf(line, sizeof line, "%d %s %lu %lu %lu %lu\n", (int)pid, function, alloc_blocks,
                              alloc_bytes, live_blocks, live_bytes);
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0 || write(fd, line, (size_t)length) != length) (void)!write(2, "the truth could not be told\n", 28);
  if (fd >= 0) close(fd);
  errno = saved;
}
