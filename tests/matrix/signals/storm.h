// SPDX-License-Identifier: Apache-2.0
//
// How a program of this group says what it did in calls that were jumped out of, so that nobody knows whether they took
// place: between what bounds the counts must lie, as lines in the file MATRIX_TRUTH.storm, which test_signals.py reads.
//
//     storm FUNCTION LEAST_ALLOC_BLOCKS MOST_ALLOC_BLOCKS LEAST_LIVE_BLOCKS MOST_LIVE_BLOCKS BYTES_OF_A_BLOCK JUMPS
//
// Runs in the program under test, once it is calm. Must never allocate.
#pragma once

#include "truth.h"

// Calls of one kind, counted before and after: the difference is what was jumped out of.
typedef struct {
  volatile unsigned long begun, done;
} Calls;

static inline void storm_site(const char* function, Calls allocated, Calls freed, unsigned long bytes,
                              unsigned long jumps) {
  char path[512], line[256];
  const char* truth = getenv("MATRIX_TRUTH");
  if (truth == NULL) return;
  snprintf(path, sizeof path, "%s.storm", truth);
  const unsigned long surely_live = allocated.done > freed.begun ? allocated.done - freed.begun : 0;
  const int length = snprintf(line, sizeof line, "storm %s %lu %lu %lu %lu %lu %lu\n", function, allocated.done,
                              allocated.begun, surely_live, allocated.begun - freed.done, bytes, jumps);
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (fd < 0 || write(fd, line, (size_t)length) != length) abort();
  close(fd);
}
