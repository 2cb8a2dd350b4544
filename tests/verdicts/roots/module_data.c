// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands in the program's own data: initialized, not initialized, local to a function, and in
// a page that was made read-only afterwards, as the loader does with relocated constants.
//
// Expected: all reachable, and a block that only a null took the place of definite. Valgrind looks into writable memory
// alone, so what the read-only page holds is definite there.
#include <sys/mman.h>

#include "told.h"

static void* initialized = &initialized;
static void* uninitialized;
static void* overwritten = &overwritten;
static void* in_read_only_page[512] __attribute__((aligned(4096)));

SITE static void from_data(void) { initialized = blank(24); }
SITE static void from_bss(void) { uninitialized = blank(100); }
SITE static void from_static_local(void) {
  static void* local;
  local = blank(1000);
  escape(&local);
}
SITE static void from_read_only_page(void) { in_read_only_page[77] = blank(70); }
SITE static void from_nowhere(void) {
  overwritten = blank(33);
  escape(&overwritten);
  overwritten = NULL;
}

int main(void) {
  from_data();
  from_bss();
  from_static_local();
  from_read_only_page();
  must(mprotect(in_read_only_page, sizeof in_read_only_page, PROT_READ) == 0, "mprotect");
  from_nowhere();
  tell("from_data", "reachable", 1, 24);
  tell("from_bss", "reachable", 1, 100);
  tell("from_static_local", "reachable", 1, 1000);
  tell("from_read_only_page", "reachable", 1, 70);
  tell_of_valgrind("from_read_only_page", "definite", 1, 70);
  tell("from_nowhere", "definite", 1, 33);
  escape(&initialized);
  escape(&uninitialized);
  escape(in_read_only_page);
  last_words();
  return 0;
}
