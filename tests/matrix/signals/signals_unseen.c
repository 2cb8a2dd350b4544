// SPDX-License-Identifier: Apache-2.0
//
// What a program sees of signals, while two threads allocate: the dispositions of all of them; the mask and the pending
// signals of a thread that blocks all and allocates; what sigwait, sigtimedwait and a signalfd deliver; how often a
// handler without SA_RESTART interrupts read, nanosleep, poll, epoll_wait, a semaphore and a message queue, which is
// once for each signal that was sent and never else.
//
// Expected: the output is the same: no signal more or less, no EINTR more or less.
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/signalfd.h>
#include <time.h>

#include "truth.h"

enum { kAllocators = 2, kBytes = 90, kSignals = 20, kKept = 40, kLastSignal = 64 };

static atomic_int over;
static volatile sig_atomic_t handled;
void* volatile kept[kAllocators + 1][kKept];

__attribute__((noinline)) static void* allocate(void) { return escape(malloc(kBytes)); }

static void on_signal(int number) {
  (void)number;
  ++handled;
}

static unsigned long churn(void* volatile* slot, unsigned long rounds) {
  unsigned long made = 0;
  for (; rounds != 0 ? made < rounds : !atomic_load(&over); ++made) {
    free(slot[made % kKept]);
    slot[made % kKept] = allocate();
  }
  return made;
}

static void* allocate_until_over(void* slots) { return (void*)churn(slots, 0); }

static void print_set(const char* what, const sigset_t* set) {
  printf("%s:", what);
  for (int number = 1; number <= kLastSignal; ++number) {
    if (sigismember(set, number) == 1) printf(" %d", number);
  }
  printf("\n");
}

static void print_dispositions(void) {
  for (int number = 1; number <= kLastSignal; ++number) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
      printf("signal %d: %s, flags %x\n", number, action.sa_handler == SIG_IGN ? "ignored" : "handled",
             (unsigned)action.sa_flags);
    }
  }
}

// Blocks all, allocates, and looks; then three of them come, each once, by three ways.
static void* with_all_blocked(void* slots) {
  sigset_t all, now, pending, two;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  unsigned long made = churn(slots, 5000);
  pthread_sigmask(SIG_SETMASK, NULL, &now);
  print_set("blocked", &now);
  sigpending(&pending);
  print_set("pending before", &pending);
  pthread_kill(pthread_self(), SIGUSR2);
  pthread_kill(pthread_self(), SIGRTMIN + 2);
  pthread_kill(pthread_self(), SIGRTMIN + 2);
  made += churn(slots, 5000);
  sigpending(&pending);
  print_set("pending after", &pending);

  int number = 0;
  sigemptyset(&two);
  sigaddset(&two, SIGUSR2);
  sigwait(&two, &number);
  printf("sigwait: %d\n", number);
  sigfillset(&two);
  const int fd = signalfd(-1, &two, SFD_NONBLOCK | SFD_CLOEXEC);
  struct signalfd_siginfo information;
  while (read(fd, &information, sizeof information) == (ssize_t)sizeof information) {
    printf("signalfd: %u from %s\n", information.ssi_signo,
           information.ssi_pid == (unsigned)getpid() ? "us" : "elsewhere");
  }
  close(fd);
  made += churn(slots, 5000);
  const struct timespec soon = {0, 50000000};
  printf("sigtimedwait: %d\n", sigtimedwait(&two, NULL, &soon));
  return (void*)made;
}

// ---- Blocking calls. Each lasts until the signals have all come: what is waited for never does.

static int pipe_ends[2], epoll_fd, queue;
static sem_t semaphore;

static int in_read(void) {
  char byte;
  return (int)read(pipe_ends[0], &byte, 1);
}
static int in_nanosleep(void) {
  const struct timespec long_time = {600, 0};
  return nanosleep(&long_time, NULL);
}
static int in_poll(void) {
  struct pollfd waited = {pipe_ends[0], POLLIN, 0};
  return poll(&waited, 1, -1);
}
static int in_epoll_wait(void) {
  struct epoll_event event;
  return epoll_wait(epoll_fd, &event, 1, -1);
}
static int in_sem_wait(void) { return sem_wait(&semaphore); }
static int in_msgrcv(void) {
  struct {
    long type;
    char text[8];
  } message;
  return (int)msgrcv(queue, &message, sizeof message.text, 0, 0);
}

static atomic_int waiting;

static void* wait_interrupted(void* call) {
  int (*const wait)(void) = *(int (**)(void))call;
  for (int i = 0; i < kSignals; ++i) {
    atomic_store(&waiting, 1);
    const int result = wait();
    atomic_store(&waiting, 0);
    if (result != -1 || errno != EINTR) return (void*)1;
  }
  return NULL;
}

// The state of a thread as the kernel says it: 'S' when it waits.
static char state_of(pid_t tid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
  const int fd = open(path, O_RDONLY);
  const ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (got <= 0) return '?';
  text[got] = '\0';
  const char* name_end = strrchr(text, ')');
  return name_end == NULL ? '?' : name_end[2];
}

typedef struct {
  int (*call)(void);
  _Atomic(pid_t) tid;
} Waiter;

static void* waiter_thread(void* argument) {
  Waiter* waiter = argument;
  atomic_store(&waiter->tid, gettid());
  return wait_interrupted(&waiter->call);
}

static void interrupt(const char* name, int (*call)(void)) {
  Waiter waiter = {call, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, waiter_thread, &waiter) != 0) abort();
  handled = 0;
  for (int sent = 0; sent < kSignals; ++sent) {
    while (!atomic_load(&waiting) || state_of(atomic_load(&waiter.tid)) != 'S') usleep(100);
    pthread_kill(thread, SIGUSR1);
    while (handled == sent) usleep(100);
  }
  void* result = NULL;
  pthread_join(thread, &result);
  printf("%s: %d handled, %s\n", name, (int)handled, result == NULL ? "as often interrupted" : "something else");
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  pthread_t allocator[kAllocators], blocked;
  unsigned long made = 0;
  void* count = NULL;
  for (int i = 0; i < kAllocators; ++i) {
    if (pthread_create(&allocator[i], NULL, allocate_until_over, (void*)kept[i]) != 0) return 1;
  }
  if (pthread_create(&blocked, NULL, with_all_blocked, (void*)kept[kAllocators]) != 0) return 1;
  pthread_join(blocked, &count);
  made += (unsigned long)count;

  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  queue = msgget(IPC_PRIVATE, 0600);
  struct epoll_event event = {.events = EPOLLIN};
  if (pipe2(pipe_ends, O_CLOEXEC) != 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_ends[0], &event) != 0) return 1;
  sem_init(&semaphore, 0, 0);
  interrupt("read", in_read);
  interrupt("nanosleep", in_nanosleep);
  interrupt("poll", in_poll);
  interrupt("epoll_wait", in_epoll_wait);
  interrupt("sem_wait", in_sem_wait);
  if (queue >= 0) {
    interrupt("msgrcv", in_msgrcv);
    msgctl(queue, IPC_RMID, NULL);
  }
  atomic_store(&over, 1);
  for (int i = 0; i < kAllocators; ++i) {
    pthread_join(allocator[i], &count);
    made += (unsigned long)count;
  }
  print_dispositions();
  truth_site("allocate", made, made * kBytes, (kAllocators + 1) * kKept, (kAllocators + 1) * kKept * kBytes);
  return 0;
}
