// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands on the stack of a thread that has ended, which libc keeps for the next thread: in
// frames, as the argument the thread was given, as the value it returned and nobody took. Joined threads and detached
// ones. And the value of a thread that has ended and can still be joined.
//
// Expected: definite, but the value that can still be had: reachable. Valgrind takes the thread's descriptor, on the
// stack that is kept, for alive, with the argument and the value of the last thread that had it.
#include "threads.h"

enum { kThreads = 8, kBlocks = 20 };

SITE static void* in_frame(void) { return blank(24); }
SITE static void* as_argument(void) { return blank(40); }
SITE static void* as_value(void) { return blank(56); }
SITE static void* as_value_to_have(void) { return blank(72); }

__attribute__((noinline)) static void leave_behind(int frames) {
  void* volatile places[128];
  for (int i = 0; i < 128; ++i) places[i] = in_frame();
  if (frames > 1) leave_behind(frames - 1);
  escape((void*)places[64]);
}

static void* runs(void* unused) {
  (void)unused;
  leave_behind(kBlocks);
  forget();
  return as_value();
}
static void* runs_to_be_joined(void* unused) {
  (void)unused;
  return as_value_to_have();
}

// All at once, so that each has a stack of its own: those of the second round are the first one's.
__attribute__((noinline)) static void run_threads(int detached) {
  pthread_t threads[kThreads];
  pthread_attr_t attributes;
  must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 256 << 10) == 0, "attributes");
  for (int i = 0; i < kThreads; ++i) {
    must(pthread_create(&threads[i], &attributes, runs, as_argument()) == 0, "pthread_create");
  }
  for (int i = 0; i < kThreads; ++i) {
    must((detached ? pthread_detach(threads[i]) : pthread_join(threads[i], NULL)) == 0, "pthread_join");
  }
}

// Waits until the kernel says that there is no other thread.
static void wait_until_alone(void) {
  const struct timespec moment = {0, 1000000};
  for (int i = 0; i < 20000; ++i, nanosleep(&moment, NULL)) {
    char text[4096] = "";
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0, "/proc/self/status");
    if (strstr(text, "\nThreads:\t1\n") != NULL) return;
  }
  must(0, "waiting for threads to end");
}

int main(void) {
  pthread_t to_be_joined;
  must(pthread_create(&to_be_joined, NULL, runs_to_be_joined, NULL) == 0, "pthread_create");
  run_threads(0);
  run_threads(1);
  wait_until_alone();
  tell("in_frame", "definite", 2 * kThreads * kBlocks * 128, 2 * kThreads * kBlocks * 128 * 24);
  tell("as_argument", "definite", 2 * kThreads, 2 * kThreads * 40);
  tell("as_value", "definite", 2 * kThreads, 2 * kThreads * 56);
  tell("as_value_to_have", "reachable", 1, 72);
  tell_of_valgrind("as_argument", "definite", kThreads, kThreads * 40);
  tell_of_valgrind("as_argument", "reachable", kThreads, kThreads * 40);
  tell_of_valgrind("as_value", "definite", kThreads, kThreads * 56);
  tell_of_valgrind("as_value", "reachable", kThreads, kThreads * 56);
  last_words();
  return 0;
}
