// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer is the value of a pthread key: the first 32 keys have their values in the thread's
// descriptor, the others in a block of libc's. In the main thread, in one that waits, and in one that has ended (keys
// without a destructor).
//
// Expected: reachable, but what the thread that has ended held: definite.
#include "threads.h"

enum { kKeys = 80 };
static pthread_key_t keys[kKeys];

SITE static void by_keys_of_main(void) {
  for (int i = 0; i < kKeys; ++i) must(pthread_setspecific(keys[i], blank(24)) == 0, "pthread_setspecific");
}
SITE static void by_keys_of_waiting(void) {
  for (int i = 0; i < kKeys; ++i) must(pthread_setspecific(keys[i], blank(40)) == 0, "pthread_setspecific");
}
SITE static void by_keys_of_ended(void) {
  for (int i = 0; i < kKeys; ++i) must(pthread_setspecific(keys[i], blank(56)) == 0, "pthread_setspecific");
}

static void* waits(void* unused) {
  by_keys_of_waiting();
  forget();
  stay();
  return unused;
}
static void* ends(void* unused) {
  by_keys_of_ended();
  forget();
  return unused;
}

int main(void) {
  for (int i = 0; i < kKeys; ++i) must(pthread_key_create(&keys[i], NULL) == 0, "pthread_key_create");
  by_keys_of_main();
  pthread_t ended;
  must(pthread_create(&ended, NULL, ends, NULL) == 0 && pthread_join(ended, NULL) == 0, "a thread");
  begin(waits);
  wait_for_threads(1);
  tell("by_keys_of_main", "reachable", kKeys, kKeys * 24);
  tell("by_keys_of_waiting", "reachable", kKeys, kKeys * 40);
  tell("by_keys_of_ended", "definite", kKeys, kKeys * 56);
  last_words();
  return 0;
}
