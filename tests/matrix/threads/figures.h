// SPDX-License-Identifier: Apache-2.0
//
// What a program of the matrix measures of its own process, told in a file of its own (FIGURES), since with seep it is
// to differ from without. Runs in the program under test, any thread; never allocates.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void figures_line(const char* line) {
  const char* path = getenv("FIGURES");
  const int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (write(fd, line, strlen(line)) < 0) (void)!write(2, "a figure could not be told\n", 27);
  close(fd);
}

// A field of /proc/self/status in KiB; -1 where there is none.
static inline long figures_status_kib(const char* field) {
  static char text[1 << 14];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[got > 0 ? got : 0] = '\0';
  const char* at = strstr(text, field);
  return at == NULL ? -1 : atol(at + strlen(field) + 1);
}

// "memory rss_kib N anonymous_kib N shared_kib N peak_kib N", now.
static inline void figures_memory(void) {
  char line[160];
  snprintf(line, sizeof line, "memory rss_kib %ld anonymous_kib %ld shared_kib %ld peak_kib %ld\n",
           figures_status_kib("\nVmRSS"), figures_status_kib("\nRssAnon"), figures_status_kib("\nRssShmem"),
           figures_status_kib("\nVmHWM"));
  figures_line(line);
}
