// SPDX-License-Identifier: Apache-2.0
//
// Asks for leak scans while something of it watches for what a copy of the process might do to a program: prints what
// it noticed, and nothing where that is nothing. One block of 1,234 bytes is leaked; a linked heap keeps a scan busy
// for a while, so that a copy still runs when seep_scan() has returned.
//   scans_on_request WHAT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <seep/seep.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kScans = 10, kThreads = 16, kLinked = 300000, kBufferBytes = 160 << 20, kNobody = 65534 };

struct node {
  struct node* next;
  char rest[40];
};

static struct node* list;
static atomic_bool stop;
static atomic_int noticed;

static void notice(const char* what, long value) {
  ++noticed;
  printf("noticed: %s %ld\n", what, value);
}

__attribute__((noinline)) static void leak(void) {
  volatile char* block = malloc(1234);
  block[0] = 1;
}

__attribute__((noinline)) static void build_list(int length) {
  for (int i = 0; i < length; ++i) {
    struct node* node = calloc(1, sizeof *node);
    node->next = list;
    list = node;
  }
}

static void check_leaks(void) {
  struct seep_leaks leaks;
  if (seep_check_leaks(&leaks) != 0) {
    notice("no verdict", 0);
    return;
  }
  if (leaks.definite_blocks != 1 || leaks.definite_bytes != 1234) notice("leaks", (long)leaks.definite_bytes);
}

// The number of a child, or 0: none, or such that no wait finds.
static long some_child(void) {
  char path[64], text[64] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t bytes = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  return bytes > 0 ? strtol(text, NULL, 10) : 0;
}

// Another thread waits for any child, of which there is one at times.
static void* wait_for_children(void* unused) {
  while (!stop) {
    const pid_t none = waitpid(-1, NULL, 0);
    if (none != -1 || errno != ECHILD) notice("a child", none);
    const pid_t own = fork();
    if (own == 0) {
      usleep(3000);
      _exit(5);
    }
    int status = 0;
    const pid_t found = waitpid(-1, &status, 0);
    if (found != own || !WIFEXITED(status) || WEXITSTATUS(status) != 5) notice("another's child", found);
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED) != -1) notice("a child by waitid", info.si_pid);
    if (waitpid(0, NULL, 0) != -1) notice("a child in the group", 0);
  }
  return unused;
}

static void children(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_children, NULL) != 0) exit(2);
  for (int i = 0; i < kScans; ++i) check_leaks();
  stop = 1;
  pthread_join(thread, NULL);
}

static atomic_int* handled;  // Shared with what is copied.

static void count(int signal) {
  (void)signal;
  ++*handled;
}

static void count_signal(int signal) {
  struct sigaction action = {.sa_handler = count};
  handled = mmap(NULL, sizeof *handled, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (handled == MAP_FAILED || sigaction(signal, &action, NULL) != 0) exit(2);
}

static void handler(void) {
  count_signal(SIGCHLD);
  for (int i = 0; i < kScans; ++i) check_leaks();
  if (*handled != 0) notice("SIGCHLD", *handled);
}

static void group(void) {
  if (setpgid(0, 0) != 0) exit(2);
  count_signal(SIGINT);
  for (int i = 1; i <= kScans; ++i) {
    if (seep_scan() != 0) notice("no scan", i);
    kill(0, SIGINT);
    if (*handled != i) notice("SIGINT", *handled);
    check_leaks();
  }
  if (*handled != kScans) notice("SIGINT", *handled);
}

// Whoever reads from a pipe learns at once that the program has closed it, and not when the copy ends.
static void pipes(void) {
  int told = 0;
  for (int i = 0; i < kScans * 5 && told == 0; ++i) {
    int ends[2];
    char byte;
    if (pipe(ends) != 0) exit(2);
    if (seep_scan() != 0) notice("no scan", i);
    const long copy = some_child();
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 0) notice("a byte", byte);
    if (copy != 0 && kill((pid_t)copy, 0) == 0 && some_child() == copy) ++told;  // It still ran.
    close(ends[0]);
    check_leaks();
  }
  if (told == 0) notice("no end of a pipe while a copy ran", 0);
}

static void* allocate(void* unused) {
  void* kept[64] = {0};
  unsigned long state = (unsigned long)pthread_self() | 1;
  while (!stop) {
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    const unsigned slot = state >> 58;
    free(kept[slot]);
    kept[slot] = malloc(16 + (state >> 40) % 2000);
  }
  for (int i = 0; i < 64; ++i) free(kept[i]);
  return unused;
}

static void threads(void) {
  pthread_t thread[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, allocate, NULL) != 0) exit(2);
  }
  for (int i = 0; i < kScans; ++i) check_leaks();
  stop = 1;
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
}

static void forks(void) {
  if (seep_scan() != 0) notice("no scan", 0);
  const pid_t child = fork();
  if (child == 0) {
    if (waitpid(-1, NULL, __WALL) != -1 || errno != ECHILD) notice("a child of the parent's", 0);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (waitpid(-1, &status, 0) != child || status != 0) notice("another child", status);
  check_leaks();
}

static void exec(char* self) {
  if (seep_scan() != 0) notice("no scan", 0);
  if (some_child() == 0) notice("no copy that runs", 0);
  fflush(stdout);
  execl(self, self, "after-exec", (char*)NULL);
  exit(2);
}

static void after_exec(void) {
  if (waitpid(-1, NULL, __WALL | WNOHANG) != -1 || errno != ECHILD)
    notice("a child from before the exec", some_child());
}

// Tells of its copy, and waits to be killed.
static void killed(void) {
  if (seep_scan() != 0) notice("no scan", 0);
  printf("%ld\n", some_child());
  fflush(stdout);
  for (;;) pause();
}

static long number_in(const char* format, long pid) {
  char path[64], text[32] = "";
  snprintf(path, sizeof path, format, pid);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  if (read(fd, text, sizeof text - 1) < 0) text[0] = '\0';
  close(fd);
  return strtol(text, NULL, 10);
}

// Writes to memory that it shares with its copy, for which there is no room twice. The copy is held, so that it is
// there.
static void memory(void) {
  static char* buffer;
  buffer = malloc(kBufferBytes);
  for (int i = 0, held = 0; i < kScans * 5 && !held; ++i) {
    memset(buffer, 1, kBufferBytes);
    if (seep_scan() != 0) notice("no scan", i);
    const long copy = some_child();
    while (copy != 0 && some_child() == copy && number_in("/proc/%ld/oom_score_adj", copy) != 1000) usleep(100);
    if (copy == 0 || kill((pid_t)copy, SIGSTOP) != 0) continue;
    held = number_in("/proc/%ld/statm", copy) > 0;  // It has not ended.
    memset(buffer, 2, kBufferBytes);
    kill((pid_t)copy, SIGCONT);
  }
}

static void no_processes(void) {
  const struct rlimit one = {1, 1};
  if (getuid() == 0 && syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0) exit(2);
  if (prctl(PR_SET_DUMPABLE, 1) != 0 || setrlimit(RLIMIT_NPROC, &one) != 0) exit(2);
  for (int i = 0; i < kScans; ++i) check_leaks();
}

static void sandbox(void) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {sizeof program / sizeof *program, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) exit(2);
  for (int i = 0; i < kScans; ++i) check_leaks();
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    void (*run)(void);
  } all[] = {{"children", children}, {"handler", handler}, {"group", group},   {"pipes", pipes},
             {"threads", threads},   {"forks", forks},     {"killed", killed}, {"no-processes", no_processes},
             {"sandbox", sandbox},   {"memory", memory}};
  if (argc != 2) return 2;
  if (strcmp(argv[1], "after-exec") == 0) {
    after_exec();
    return noticed != 0;
  }
  build_list(kLinked);
  leak();
  if (strcmp(argv[1], "exec") == 0) exec(argv[0]);
  for (size_t i = 0; i < sizeof all / sizeof *all; ++i) {
    if (strcmp(argv[1], all[i].name) != 0) continue;
    all[i].run();
    return noticed != 0;
  }
  return 2;
}
