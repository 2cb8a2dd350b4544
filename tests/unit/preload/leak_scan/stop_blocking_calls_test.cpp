// SPDX-License-Identifier: Apache-2.0
//
// What a thread of the host sees of a stop that finds it in a system call: nothing, or EINTR. signal(7) says which: by
// ptrace those that it lists under "Interruption of system calls and library functions by stop signals"; by the signal
// those that "are never restarted", although the handler is installed with SA_RESTART, and timed waits for a futex,
// which the kernel restarts without a handler only (futex(2)). Each call is made by a thread of
// a process of its own, and stopped when the kernel says that the thread sleeps in it. Prints the table.
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdio>

#include "preload/leak_scan/stop_threads.h"
#include "stop_test.h"

namespace seep::leak_scan {
namespace {

constexpr timespec kLong{30, 0};

int make_pipe(int end) {
  int ends[2];
  return pipe(ends) == 0 ? ends[end] : -1;
}
int make_listener() {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr name{AF_UNIX, {}};
  bind(fd, &name, sizeof(sa_family_t));  // Any abstract name.
  listen(fd, 1);
  return fd;
}
int make_socket() {
  int ends[2];
  return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? ends[0] : -1;
}

long wait_futex(const timespec* time) {
  static uint32_t word = 0;
  return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, time);
}
long read_pipe() {
  char byte;
  return read(make_pipe(0), &byte, 1);
}
long write_full_pipe() {
  static const char kBytes[1 << 16] = {};
  const int fd = make_pipe(1);
  return write(fd, kBytes, sizeof kBytes) < 0 ? -1 : write(fd, kBytes, sizeof kBytes);
}
long poll_pipe(int timeout_ms) {
  pollfd one{make_pipe(0), POLLIN, 0};
  return poll(&one, 1, timeout_ms);
}
long wait_epoll(int timeout_ms) {
  epoll_event event{};
  return epoll_wait(epoll_create1(0), &event, 1, timeout_ms);
}
long sleep_long() { return nanosleep(&kLong, nullptr); }
long sleep_by_clock() {
  errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &kLong, nullptr);
  return errno == 0 ? 0 : -1;
}
long select_pipe(bool with_mask) {
  const int fd = make_pipe(0);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  sigset_t none;
  sigemptyset(&none);
  if (with_mask) return pselect(fd + 1, &set, nullptr, nullptr, &kLong, &none);
  timeval time{30, 0};
  return select(fd + 1, &set, nullptr, nullptr, &time);
}
long wait_semaphore(bool timed) {
  static sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 30;
  return timed ? sem_timedwait(&semaphore, &end) : sem_wait(&semaphore);
}
long wait_condition() {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&mutex);
  errno = pthread_cond_wait(&condition, &mutex);
  return errno == 0 ? 0 : -1;
}
long receive(bool timed) {
  const int fd = make_socket();
  const timeval time{30, 0};
  if (timed) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  char byte;
  return recv(fd, &byte, 1, 0);
}
long accept_one() { return accept(make_listener(), nullptr, nullptr); }
long wait_child() {
  if (fork() == 0) {
    for (;;) pause();
  }
  return waitpid(-1, nullptr, 0);
}
long suspend() {
  sigset_t none;
  sigemptyset(&none);
  return sigsuspend(&none);
}
long wait_signal() {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  return sigtimedwait(&one, nullptr, &kLong);
}
long lock_file() {
  const int first = memfd_create("lock", 0);
  const int second = open(("/proc/self/fd/" + std::to_string(first)).c_str(), O_RDWR);
  flock(first, LOCK_EX);
  return flock(second, LOCK_EX);
}
long lock_record() {
  const int fd = memfd_create("lock", 0);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  fcntl(fd, F_OFD_SETLK, &whole);
  const int other = open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR);
  return fcntl(other, F_OFD_SETLKW, &whole);
}
// Removed by whom it outlives: the parent, by the number in shared memory.
constinit int* queue_to_remove = nullptr;
constinit int* semaphores_to_remove = nullptr;
long receive_message() {
  *queue_to_remove = msgget(IPC_PRIVATE, 0600);
  char text[64];
  return msgrcv(*queue_to_remove, text, sizeof text - sizeof(long), 0, 0);
}
long wait_system_v_semaphore() {
  *semaphores_to_remove = semget(IPC_PRIVATE, 1, 0600);
  sembuf take{0, -1, 0};
  return semop(*semaphores_to_remove, &take, 1);
}

enum Seen { kNothing, kInterrupted };

struct Call {
  const char* name;
  long (*make)();
  Seen by_ptrace, by_signal;
};

const Call kCalls[] = {
    {"futex", [] { return wait_futex(nullptr); }, kNothing, kNothing},
    {"futex, timed", [] { return wait_futex(&kLong); }, kNothing, kInterrupted},
    {"read of a pipe", read_pipe, kNothing, kNothing},
    {"write to a full pipe", write_full_pipe, kNothing, kNothing},
    {"poll", [] { return poll_pipe(-1); }, kNothing, kInterrupted},
    {"poll, timed", [] { return poll_pipe(30'000); }, kNothing, kInterrupted},
    {"epoll_wait", [] { return wait_epoll(-1); }, kInterrupted, kInterrupted},
    {"epoll_wait, timed", [] { return wait_epoll(30'000); }, kInterrupted, kInterrupted},
    {"select", [] { return select_pipe(false); }, kNothing, kInterrupted},
    {"pselect", [] { return select_pipe(true); }, kNothing, kInterrupted},
    {"nanosleep", sleep_long, kNothing, kInterrupted},
    {"clock_nanosleep", sleep_by_clock, kNothing, kInterrupted},
    {"sem_wait", [] { return wait_semaphore(false); }, kNothing, kNothing},
    {"sem_timedwait", [] { return wait_semaphore(true); }, kNothing, kInterrupted},
    {"pthread_cond_wait", wait_condition, kNothing, kNothing},
    {"recv", [] { return receive(false); }, kNothing, kNothing},
    {"recv with SO_RCVTIMEO", [] { return receive(true); }, kInterrupted, kInterrupted},
    {"accept", accept_one, kNothing, kNothing},
    {"waitpid", wait_child, kNothing, kNothing},
    {"pause", [] { return static_cast<long>(pause()); }, kNothing, kInterrupted},
    {"sigsuspend", suspend, kNothing, kInterrupted},
    {"sigtimedwait", wait_signal, kInterrupted, kInterrupted},
    {"flock", lock_file, kNothing, kNothing},
    {"fcntl F_OFD_SETLKW", lock_record, kNothing, kNothing},
    {"msgrcv", receive_message, kNothing, kInterrupted},
    {"semop", wait_system_v_semaphore, kInterrupted, kInterrupted},
};

struct Outcome {
  bool stopped;
  Seen seen;
  int error;
};

// In a process of its own: `thread` is in the call; it is stopped and goes on; has the call returned?
void observe(const Call& call, StopOptions options, Outcome& outcome) {
  static std::atomic<pid_t> tid{0};
  static std::atomic<bool> returned{false};
  static std::atomic<int> error{0};
  std::thread([&call] {
    tid = thread_id();
    errno = 0;
    const long result = call.make();
    error = result == -1 ? errno : 0;
    returned = true;
    for (;;) pause();
  }).detach();
  // In the call, and in no other before it: the kernel has not switched to it since the last look.
  const auto sleeps = [] { return tid != 0 && state_of(tid) == 'S'; };
  const auto asleep_for_good = [&] {
    const std::string switches = status_field(tid, "voluntary_ctxt_switches");
    if (!sleeps()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return sleeps() && status_field(tid, "voluntary_ctxt_switches") == switches;
  };
  if (!comes_true(asleep_for_good) || returned) return;
  Scanner scanner;
  outcome.stopped = scanner.stop(options).everyone() && scanner.threads.resume();
  // It was woken to go on: when it sleeps again, it is in the call, or behind it in pause.
  if (!comes_true(asleep_for_good)) return;
  outcome.seen = returned ? kInterrupted : kNothing;
  outcome.error = error;
}

Outcome outcome_of(const Call& call, StopOptions options) {
  struct Shared {
    Outcome outcome;
    int queue, semaphores;
  };
  auto* shared =
      static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  *shared = {{false, kNothing, 0}, -1, -1};
  queue_to_remove = &shared->queue;
  semaphores_to_remove = &shared->semaphores;
  EXPECT_EQ(in_child([&] {
              setpgid(0, 0);
              observe(call, options, shared->outcome);
              signal(SIGTERM, SIG_IGN);
              kill(0, SIGTERM);  // Children of the call.
            }),
            0)
      << call.name;
  if (shared->queue >= 0) msgctl(shared->queue, IPC_RMID, nullptr);
  if (shared->semaphores >= 0) semctl(shared->semaphores, 0, IPC_RMID);
  const Outcome outcome = shared->outcome;
  munmap(shared, sizeof(Shared));
  return outcome;
}

TEST(StopBlockingCalls, SeeWhatSignal7Says) {
  printf("%-24s %-12s %s\n", "a thread in", "by ptrace", "by signal");
  for (const Call& call : kCalls) {
    const Outcome by_ptrace = outcome_of(call, kByPtrace), by_signal = outcome_of(call, kBySignal);
    EXPECT_TRUE(by_ptrace.stopped && by_signal.stopped) << call.name;
    const auto word = [](const Outcome& outcome) {
      return outcome.seen == kNothing ? "nothing" : outcome.error == EINTR ? "EINTR" : "another error";
    };
    printf("%-24s %-12s %s\n", call.name, word(by_ptrace), word(by_signal));
    EXPECT_EQ(by_ptrace.seen, call.by_ptrace) << call.name;
    EXPECT_EQ(by_signal.seen, call.by_signal) << call.name;
    EXPECT_EQ(by_ptrace.error, call.by_ptrace == kInterrupted ? EINTR : 0) << call.name;
    EXPECT_EQ(by_signal.error, call.by_signal == kInterrupted ? EINTR : 0) << call.name;
  }
}

// A sleep that goes on ends when it should, not later by the time that it stood.
TEST(StopBlockingCalls, ASleepThatGoesOnIsNeitherShorterNorLonger) {
  constexpr uint64_t kSleepNs = 300'000'000;
  std::atomic<pid_t> tid{0};
  uint64_t slept_ns = 0;
  int result = -1;
  std::thread sleeper([&] {
    const timespec time{0, kSleepNs};
    const uint64_t begin = monotonic_ns();
    tid = thread_id();
    result = nanosleep(&time, nullptr);
    slept_ns = monotonic_ns() - begin;
  });
  ASSERT_TRUE(comes_true([&] { return tid != 0 && state_of(tid) == 'S'; }));
  Scanner scanner;
  EXPECT_TRUE(scanner.stop(kByPtrace).everyone());
  let_time_pass(50);
  EXPECT_TRUE(scanner.threads.resume());
  sleeper.join();
  EXPECT_EQ(result, 0);
  EXPECT_GE(slept_ns, kSleepNs);
}

}  // namespace
}  // namespace seep::leak_scan
