// SPDX-License-Identifier: Apache-2.0
//
// A server that leaks until something ends it: each round serve_request() allocates and frees, keep_session() leaks one
// block of STEP bytes and touches it, and each 16th round name_session() leaks 40 bytes. Usage: leaking_server FD STEP
// PAUSE_US. Before each round it writes {round, CLOCK_MONOTONIC in ns} to FD, a pipe, so that it says that all rounds
// before are done. Where malloc fails it aborts. Expected: keep_session() is named first, with a block for each round.

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void* volatile sessions;
void* volatile scratch;

static __attribute__((noinline)) void keep_session(size_t bytes) {
  void** session = malloc(bytes);
  if (session == NULL) abort();
  memset(session, 1, bytes);
  *session = sessions;
  sessions = session;
}

static __attribute__((noinline)) void name_session(void) {
  void** name = malloc(40);
  if (name == NULL) abort();
  *name = sessions;
  sessions = name;
}

static __attribute__((noinline)) void serve_request(void) {
  for (int i = 0; i < 100; ++i) {
    scratch = malloc(200);
    free(scratch);
  }
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const int fd = atoi(argv[1]);
  const size_t step_bytes = strtoull(argv[2], NULL, 10);
  const struct timespec pause = {0, atol(argv[3]) * 1000};
  for (uint64_t round = 0;; ++round) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t record[2] = {round, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec};
    if (write(fd, record, sizeof record) != sizeof record) return 3;
    serve_request();
    keep_session(step_bytes);
    if (round % 16 == 15) name_session();
    nanosleep(&pause, NULL);
  }
}
