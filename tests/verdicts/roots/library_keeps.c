// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer a library was given: the environment's strings, the argument of a function to be called at
// exit, the buffer and the cookie of a stream, the argument of a thread that does not look at it, the clean-up handler
// of a thread that waits.
//
// Expected: all reachable.
#include "threads.h"

extern int __cxa_atexit(void (*)(void*), void*, void*);

SITE static void as_environment(void) {
  char* string = blank(64);
  strcpy(string, "KEPT_BY_THE_ENVIRONMENT=1");
  must(putenv(string) == 0, "putenv");
}
static void at_exit(void* argument) { escape(argument); }
static void on_exit_called(int status, void* argument) { escape(status == 0 ? argument : NULL); }
SITE static void as_exit_argument(void) {
  must(__cxa_atexit(at_exit, blank(40), NULL) == 0, "__cxa_atexit");
  must(on_exit(on_exit_called, blank(41)) == 0, "on_exit");
}
SITE static void as_buffer(void) {
  FILE* file = fopen("/dev/null", "w");
  must(file != NULL && setvbuf(file, blank(5000), _IOFBF, 5000) == 0, "setvbuf");
}
static ssize_t write_nothing(void* cookie, const char* text, size_t bytes) {
  (void)cookie;
  (void)text;
  return bytes;
}
SITE static void as_cookie(void) {
  const cookie_io_functions_t functions = {.write = write_nothing};
  must(fopencookie(blank(72), "w", functions) != NULL, "fopencookie");
}
static void* ignores_argument(void* unused) {
  (void)unused;
  forget();
  stay();
  return NULL;
}
SITE static void as_thread_argument(void) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, ignores_argument, blank(88)) == 0, "pthread_create");
}
static void clean_up(void* argument) { escape(argument); }
SITE static void* for_clean_up(void) { return blank(104); }
static void* cleans_up(void* unused) {
  pthread_cleanup_push(clean_up, for_clean_up());
  forget();
  stay();
  pthread_cleanup_pop(0);
  return unused;
}

int main(void) {
  as_environment();
  as_exit_argument();
  as_buffer();
  as_cookie();
  as_thread_argument();
  begin(cleans_up);
  wait_for_threads(2);
  tell("as_environment", "reachable", 1, 64);
  tell("as_exit_argument", "reachable", 2, 81);
  tell("as_buffer", "reachable", 1, 5000);
  tell("as_cookie", "reachable", 1, 72);
  tell("as_thread_argument", "reachable", 1, 88);
  tell("for_clean_up", "reachable", 1, 104);
  last_words();
  return 0;
}
