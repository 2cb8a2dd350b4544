// SPDX-License-Identifier: Apache-2.0
//
// Begins as what a sandbox lets it be: a seccomp filter that came before its exec answers some system calls with an
// error. Arguments: the error, the numbers of the calls. It installs the filter and runs itself once more, allocates in
// two threads, and ends.
//
// Expected: as without seep under the same filter. What is lost is counted.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "truth.h"

enum { kTimes = 400, kMostCalls = 100, kBytes = 1900 };

__attribute__((noinline)) static void allocates_denied(void) {
  for (int i = 0; i < kTimes; ++i) {
    void* block = escape(malloc(kBytes));
    if (i != 0) free(block);
  }
}

static void* body(void* argument) {
  allocates_denied();
  return argument;
}

static int deny(unsigned error, char** calls, unsigned count) {
  struct sock_filter filter[kMostCalls + 3];
  unsigned at = 0;
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (unsigned i = 0; i < count; ++i) {
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(calls[i]),
                                                (unsigned char)(count - i), 0);
  }
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
  const struct sock_fprog program = {(unsigned short)at, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int count, char** arguments) {
  if (count > 2 && count < kMostCalls) {
    if (deny((unsigned)atoi(arguments[1]), arguments + 2, (unsigned)count - 2) != 0) return 3;
    execl("/proc/self/exe", arguments[0], NULL);
    return 4;
  }
  pthread_t thread;
  const int started = pthread_create(&thread, NULL, body, NULL) == 0;
  allocates_denied();
  if (started) pthread_join(thread, NULL);
  const unsigned long times = started + 1ul;
  truth_site("allocates_denied", times * kTimes, times * kTimes * kBytes, times, times * kBytes);
  printf("%d thread\n", started);
  return 5;
}
