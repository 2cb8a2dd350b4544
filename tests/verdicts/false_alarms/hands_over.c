// SPDX-License-Identifier: Apache-2.0
//
// Threads that exit while the scan is done: each gets blocks from the one before it, as the argument of pthread_create,
// keeps them on its stack, in thread-local storage and under a pthread key for a moment, and hands them to the next.
// Others end and leave their blocks to be joined, as the value that they return.
//
// Argument: how many of these hand-overs there are before the end.
//
// Expected: whatever is live then is reachable. Of Valgrind, which ends all threads but one before it looks, nothing is
// said.
#include "threads.h"

enum { kRelays = 6, kJoiners = 4 };

struct baton {
  void* load;
  int number;
};

static pthread_key_t key;
static __thread void* local;
static atomic_long hand_overs;

SITE static struct baton* make_baton(void) { return blank(sizeof(struct baton)); }
SITE static void* make_load(size_t bytes) { return blank(bytes); }
SITE static void* returned(void* unused) {
  (void)unused;
  return blank(200);
}

static void* carries(void* argument) {
  struct baton* volatile baton = argument;
  pthread_t next;
  atomic_fetch_add(&hand_overs, 1);
  // One of three places for what the baton held, before it goes into a new baton.
  void* volatile on_stack = NULL;
  switch (baton->number++ % 3) {
    case 0: on_stack = baton->load; break;
    case 1: local = baton->load; break;
    default: pthread_setspecific(key, baton->load);
  }
  baton->load = NULL;
  struct baton* volatile fresh = make_baton();
  *fresh = *baton;
  free((void*)baton);
  baton = NULL;
  void* volatile load = on_stack != NULL ? on_stack : local != NULL ? local : pthread_getspecific(key);
  fresh->load = realloc(load, 100 + fresh->number % 50 * 100);
  pthread_setspecific(key, NULL);
  while (pthread_create(&next, NULL, carries, (void*)fresh) != 0) sched_yield();
  pthread_detach(next);
  return NULL;
}

static void* joins(void* unused) {
  for (;;) {
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) {
      while (pthread_create(&threads[i], NULL, returned, NULL) != 0) sched_yield();
    }
    for (int i = 0; i < 3; ++i) {
      void* volatile value;
      pthread_join(threads[i], (void**)&value);
      free((void*)value);
      atomic_fetch_add(&hand_overs, 1);
    }
  }
  return unused;
}

SITE static void lost(void) { blank(123); }

int main(int argc, char** argv) {
  const long enough = argc > 1 ? atol(argv[1]) : 3000;
  must(pthread_key_create(&key, NULL) == 0, "pthread_key_create");
  lost();  // First: a block that lies where another was before has its address in main's frame.
  for (int i = 0; i < kJoiners; ++i) begin(joins);
  for (int i = 0; i < kRelays; ++i) {
    struct baton* volatile baton = make_baton();
    baton->number = i;
    baton->load = make_load(100);
    pthread_t thread;
    must(pthread_create(&thread, NULL, carries, (void*)baton) == 0, "pthread_create");
    pthread_detach(thread);
  }
  while (atomic_load(&hand_overs) < enough) sched_yield();
  tell_alive("make_baton");
  tell_alive("make_load");
  tell_alive("carries");
  tell_alive("returned");
  tell("lost", "definite", 1, 123);
  last_words();
  return 0;
}
