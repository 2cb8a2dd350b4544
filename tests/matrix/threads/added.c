// SPDX-License-Identifier: Apache-2.0
//
// Says what a process can see of itself, early and late, in the initial thread and in another: descriptors, threads,
// signal dispositions and masks, alternate stacks, timers, resource limits, working directory, umask, environment, what
// is locked in memory. In FIGURES: each mapping, by name and permissions.
//
// Expected: the same with and without seep, but for mappings: libseep.so, the region, and anonymous ones.
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "figures.h"
#include "truth.h"

enum { kBlocks = 3000 };

__attribute__((noinline)) static void* make(size_t bytes) { return escape(malloc(bytes)); }

static void allocate(void) {
  for (int i = 0; i < kBlocks; ++i) free(make((size_t)i));
}

static int entries(const char* path) {
  int count = 0;
  DIR* directory = opendir(path);
  while (directory != NULL && readdir(directory) != NULL) ++count;
  closedir(directory);
  return count - 2;
}

static void say_signals(void) {
  sigset_t blocked, pending;
  pthread_sigmask(SIG_BLOCK, NULL, &blocked);
  sigpending(&pending);
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) printf(" handled %d", number);
    if (sigismember(&blocked, number) == 1) printf(" blocked %d", number);
    if (sigismember(&pending, number) == 1) printf(" pending %d", number);
  }
  stack_t stack;
  sigaltstack(NULL, &stack);
  printf(" alternate stack %d\n", !(stack.ss_flags & SS_DISABLE));
}

static void say_limits(void) {
  for (int resource = 0; resource < (int)RLIM_NLIMITS; ++resource) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0)
      printf(" %lx/%lx", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
  }
  printf("\n");
}

static void say_attributes(void) {
  const mode_t mask = umask(0);
  umask(mask);
  struct itimerval timer;
  int timers = 0;
  for (int which = 0; which < 3; ++which) timers += getitimer(which, &timer) == 0 && timer.it_value.tv_sec != 0;
  printf("umask %o, timers %d, dumpable %d, no new privileges %d, death signal ", mask, timers, prctl(PR_GET_DUMPABLE),
         prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  int death_signal = 0;
  prctl(PR_GET_PDEATHSIG, &death_signal);
  char directory[4096];
  printf("%d, directory %d, nice %d, locked %ld\n", death_signal, getcwd(directory, sizeof directory) != NULL,
         getpriority(PRIO_PROCESS, 0), figures_status_kib("\nVmLck"));
}

static void say_everything(const char* when) {
  printf("%s: threads %d, descriptors", when, entries("/proc/self/task"));
  for (int fd = 0; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) printf(" %d", fd);
  }
  printf(", children %d,", access("/proc/self/task/self/children", F_OK));
  say_signals();
  say_limits();
  say_attributes();
}

static void* in_thread(void* argument) {
  (void)argument;
  allocate();
  say_everything("thread");
  return NULL;
}

// "begin", then "mapping PERMISSIONS NAME", one a line.
static void tell_mappings(void) {
  static char text[1 << 18];
  size_t length = 0;
  figures_line("begin\n");
  const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;) length += (size_t)got;
  close(fd);
  for (char* line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char permissions[8], name[4096] = "anonymous", told[4200];
    if (sscanf(line, "%*s %7s %*s %*s %*s %4000[^\n]", permissions, name) < 1) continue;
    snprintf(told, sizeof told, "mapping %s %s\n", permissions, name);
    figures_line(told);
  }
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  say_everything("first");
  allocate();
  say_everything("then");
  pthread_t thread;
  if (pthread_create(&thread, NULL, in_thread, NULL) != 0) return 2;
  pthread_join(thread, NULL);
  say_everything("last");
  for (char** variable = environ; *variable != NULL; ++variable) {
    // These differ because the test sets them.
    if (strncmp(*variable, "LD_PRELOAD=", 11) == 0 || strncmp(*variable, "SEEP_OPTIONS=", 13) == 0) continue;
    if (strncmp(*variable, "MATRIX_TRUTH=", 13) == 0 || strncmp(*variable, "FIGURES=", 8) == 0) continue;
    printf("%s\n", *variable);
  }
  truth_site("make", 2 * kBlocks, 1ul * kBlocks * (kBlocks - 1), 0, 0);
  tell_mappings();
  return 0;
}
