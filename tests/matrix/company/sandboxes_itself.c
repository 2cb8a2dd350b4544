// SPDX-License-Identifier: Apache-2.0
//
// Allocates, installs a seccomp filter that kills the process for all but a few system calls (what an allocator and its
// own output need), and allocates on. The first argument says how: `prctl`, `syscall`, `libseccomp`, `strict` (read,
// write, exit and nothing else; blocks come from what was there before); the second: `threads`, so that the filter is
// for all of them, which then allocate, too; or `alone`.
//
// Expected: it is not killed, and its output is the same. What was allocated afterwards is recorded or counted as lost.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifdef WITH_LIBSECCOMP
#include <seccomp.h>
#endif

#include "truth.h"

enum { kThreads = 3, kBefore = 500, kAfter = 500, kBytes = 1300 };

static const int kAllowed[] = {SYS_read,       SYS_write,        SYS_exit,          SYS_exit_group, SYS_futex,
                               SYS_brk,        SYS_mmap,         SYS_munmap,        SYS_mprotect,   SYS_madvise,
                               SYS_newfstatat, SYS_rt_sigreturn, SYS_rt_sigprocmask};
enum { kAllowedCount = sizeof kAllowed / sizeof *kAllowed };

static pthread_barrier_t sandboxed;

__attribute__((noinline)) static void allocates_before(void) { free(escape(malloc(kBytes))); }
__attribute__((noinline)) static void allocates_after(void) { free(escape(malloc(kBytes))); }

static long install_by(int by_syscall, int all_threads) {
  struct sock_filter filter[kAllowedCount + 3];
  int at = 0;
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < kAllowedCount; ++i) {
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)kAllowed[i],
                                                (unsigned char)(kAllowedCount - i), 0);
  }
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_fprog program = {(unsigned short)at, filter};
  if (!by_syscall) return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program);
}

static long install_by_library(int all_threads) {
#ifdef WITH_LIBSECCOMP
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (all_threads) seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
  for (int i = 0; i < kAllowedCount; ++i) seccomp_rule_add(context, SCMP_ACT_ALLOW, kAllowed[i], 0);
  const int result = seccomp_load(context);
  seccomp_release(context);
  return result;
#else
  (void)all_threads;
  return -1;
#endif
}

static void* body(void* argument) {
  for (int i = 0; i < kBefore; ++i) allocates_before();
  pthread_barrier_wait(&sandboxed);  // All have begun.
  pthread_barrier_wait(&sandboxed);  // And the filter is there.
  for (int i = 0; i < kAfter; ++i) allocates_after();
  return argument;
}

static void say(const char* text) { (void)!write(1, text, strlen(text)); }

int main(int count, char** arguments) {
  if (count != 3) return 2;
  const char* how = arguments[1];
  const int strict = strcmp(how, "strict") == 0, others = strcmp(arguments[2], "threads") == 0 ? kThreads : 0;
  pthread_t threads[kThreads];
  pthread_barrier_init(&sandboxed, NULL, (unsigned)others + 1);
  for (int i = 0; i < others; ++i) pthread_create(&threads[i], NULL, body, NULL);
  const unsigned long all = (unsigned long)others + 1;
  for (int i = 0; i < kBefore; ++i) allocates_before();
  truth_site("allocates_before", all * kBefore, all * kBefore * kBytes, 0, 0);
  if (others != 0) pthread_barrier_wait(&sandboxed);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const long result = strict                           ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)
                      : strcmp(how, "libseccomp") == 0 ? install_by_library(others)
                                                       : install_by(strcmp(how, "syscall") == 0, others);
  if (result != 0) return 3;
  say("in the sandbox\n");
  if (others != 0) pthread_barrier_wait(&sandboxed);
  for (int i = 0; i < kAfter; ++i) allocates_after();
  for (int i = 0; i < others; ++i) pthread_join(threads[i], NULL);
  say("ends well\n");
  if (strict) syscall(SYS_exit, 0);  // exit_group is not allowed there.
  return 0;
}
