// SPDX-License-Identifier: Apache-2.0
//
// Blocks that the program speaks for by LeakSanitizer's functions, where they are there: what a registered region in a
// leaked block points to, and what one points to that was taken back; a block that is to be ignored, with what it
// points to; what was allocated while leaks were disabled.
//
// Expected: the leaked blocks that hold the pointers are definite, whatever they hold; what is registered or ignored is
// reachable. Without the functions, as in Valgrind, what hangs from a leaked block is indirect, and the rest definite.
#include "told.h"

SITE static void** holder(void) { return escape(calloc(32, sizeof(void*))); }
SITE static void held_by_region(void** place) { *place = blank(24); }
SITE static void held_by_region_before(void** place) { *place = blank(40); }
SITE static void ignored(void) {
  void** block = blank(56);
  block[0] = blank(56);
  if (__lsan_ignore_object != NULL) __lsan_ignore_object(block);
}
SITE static void while_disabled(void) {
  if (__lsan_disable != NULL) __lsan_disable();
  blank(72);
  if (__lsan_enable != NULL) __lsan_enable();
}
SITE static void after_enabled(void) { blank(88); }

SITE static void fill(void) {
  void** block = holder();
  held_by_region(block + 10);
  held_by_region_before(block + 20);
  if (__lsan_register_root_region != NULL) {
    __lsan_register_root_region(block + 10, sizeof(void*));
    __lsan_register_root_region(block + 20, sizeof(void*));
    __lsan_unregister_root_region(block + 20, sizeof(void*));
  }
}

int main(void) {
  fill();
  ignored();
  while_disabled();
  after_enabled();
  tell("holder", "definite", 1, 256);
  tell("held_by_region", "reachable", 1, 24);
  tell("held_by_region_before", "indirect", 1, 40);
  tell("ignored", "reachable", 2, 112);
  tell("while_disabled", "reachable", 1, 72);
  tell("after_enabled", "definite", 1, 88);
  tell_of_valgrind("held_by_region", "indirect", 1, 24);
  tell_of_valgrind("ignored", "definite", 1, 56);
  tell_of_valgrind("ignored", "indirect", 1, 56);
  tell_of_valgrind("while_disabled", "definite", 1, 72);
  last_words();
  return 0;
}
