// SPDX-License-Identifier: Apache-2.0
//
// The same by LeakSanitizer's own header and names, as a program has them that LeakSanitizer is not linked into now:
// weak. The argument names what is done. Exports what LeakSanitizer asks a program for (linked with -rdynamic): what
// these return is in the environment, TURNED_OFF and SUPPRESSIONS.
// Expected: test_api.py has it. Runs as the program under test; leaks on purpose.
#include <sanitizer/lsan_interface.h>

#include "told.h"

#pragma weak __lsan_disable
#pragma weak __lsan_enable
#pragma weak __lsan_ignore_object
#pragma weak __lsan_do_leak_check
#pragma weak __lsan_do_recoverable_leak_check

int __lsan_is_turned_off(void) { return getenv("TURNED_OFF") != NULL; }
const char* __lsan_default_suppressions(void) { return getenv("SUPPRESSIONS"); }

SITE static void leak(int blocks, size_t bytes) {
  for (int i = 0; i < blocks; ++i) escape(malloc(bytes));
}

static int recoverable(void) {
  forget();
  const int result = __lsan_do_recoverable_leak_check == NULL ? 99 : __lsan_do_recoverable_leak_check();
  printf("recoverable %d\n", result);
  fflush(stdout);
  return result;
}

SITE static void allocate_what_is_no_leak(void) {
  __lsan_disable();
  leak(3, 100);
  __lsan_enable();
  __lsan_ignore_object(escape(malloc(300)));
}

static void repeatedly(void) {
  recoverable();
  allocate_what_is_no_leak();
  recoverable();
  leak(1, 100);
  recoverable();
  recoverable();
}

// The first check is the only one, and the process goes on behind it.
static void once(void) {
  leak(1, 100);
  forget();
  __lsan_do_leak_check();
  leak(2, 1000);
  forget();
  __lsan_do_leak_check();
  puts("went on");
}

// In a child it is not had yet.
static void once_and_fork(void) {
  leak(1, 100);
  forget();
  __lsan_do_leak_check();
  const pid_t child = fork();
  must(child >= 0, "fork");
  if (child > 0) return;
  leak(2, 1000);
  forget();
  exit(0);
}

int main(int count, char** arguments) {
  must(count == 2, "an argument");
  if (strcmp(arguments[1], "repeatedly") == 0) repeatedly();
  else if (strcmp(arguments[1], "once") == 0) once();
  else if (strcmp(arguments[1], "once_and_fork") == 0) once_and_fork();
  else if (strcmp(arguments[1], "leaks") == 0) leak(2, 100);
  else must(0, "no such thing");
  forget();
  return 0;
}
