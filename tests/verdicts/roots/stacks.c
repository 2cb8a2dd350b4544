// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands on a live stack: in the outermost of many frames of a thread that sleeps, in the red
// zone below the stack pointer of a leaf function, on an alternate signal stack that a handler runs on, on a stack that
// the program gave to a thread, and in main.
//
// Expected: all reachable.
#include <signal.h>
#include <sys/mman.h>

#include "threads.h"

enum { kStackBytes = 256 << 10 };

SITE static void* for_deep(void) { return blank(24); }
SITE static void* for_red_zone(void) { return blank(40); }
SITE static void* for_alternate(void) { return blank(56); }
SITE static void* for_given(void) { return blank(72); }
SITE static void* for_main(void) { return blank(88); }

// Many frames, each with room that holds nothing.
__attribute__((noinline)) static void stay_deep(int frames) {
  char room[512];
  memset(room, 0, sizeof room);
  escape(room);
  if (frames == 0) {
    stay();
  } else {
    stay_deep(frames - 1);
  }
  escape(room);
}

static void* sleeps(void* unused) {
  void* volatile block = for_deep();
  forget();
  stay_deep(200);
  return block == NULL ? unused : NULL;
}

// Stores the pointer as leaf functions may, 120 bytes below the stack pointer, and spins.
__attribute__((noinline)) static void stay_as_leaf(void* block) {
  __asm__ volatile(
      "movq %[block], -120(%%rsp)\n\txorl %k[block], %k[block]\n\tlock incl (%[there])\n\t0: pause\n\tjmp 0b"
      : [block] "+r"(block)
      : [there] "r"(&threads_there)
      : "memory");
}
static void* spins(void* unused) {
  stay_as_leaf(for_red_zone());
  return unused;
}

static void* handed_over;

static void on_signal(int signal) {
  (void)signal;
  void* volatile block = handed_over;
  handed_over = NULL;
  forget();
  stay();
  escape(block);
}
static void* handles(void* unused) {
  stack_t alternate = {.ss_size = kStackBytes};
  alternate.ss_sp = mmap(NULL, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(alternate.ss_sp != MAP_FAILED && sigaltstack(&alternate, NULL) == 0, "sigaltstack");
  handed_over = for_alternate();
  raise(SIGUSR1);
  return unused;
}

static void* has_own_stack(void* unused) {
  void* volatile block = for_given();
  forget();
  stay();
  escape(block);
  return unused;
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  must(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
  begin(sleeps);
  begin(spins);
  begin(handles);
  pthread_attr_t attributes;
  pthread_t thread;
  void* stack = mmap(NULL, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, kStackBytes) == 0 &&
           pthread_create(&thread, &attributes, has_own_stack, NULL) == 0,
       "a thread on a stack of ours");
  void* volatile block = for_main();
  wait_for_threads(4);
  tell("for_deep", "reachable", 1, 24);
  tell("for_red_zone", "reachable", 1, 40);
  tell("for_alternate", "reachable", 1, 56);
  tell("for_given", "reachable", 1, 72);
  tell("for_main", "reachable", 1, 88);
  last_words();
  exit(block == NULL);
}
