// SPDX-License-Identifier: Apache-2.0
//
// Loaded by ends_in_library: holds 5 blocks of 700 bytes and follows a null pointer. Expected: see there.

#include <stdlib.h>

void* volatile held_in_plugin[5];
int* volatile nothing;

__attribute__((noinline)) void hold_in_plugin(void) {
  for (int i = 0; i < 5; ++i) held_in_plugin[i] = malloc(700);
}

int crash_in_plugin(void);
int crash_in_plugin(void) {
  hold_in_plugin();
  return *nothing;
}
