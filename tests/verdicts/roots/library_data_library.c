// SPDX-License-Identifier: Apache-2.0
//
// A library with two pointers in its data. Runs inside library_data.
#include "told.h"

static void* initialized = &initialized;
static void* uninitialized;

__attribute__((visibility("default"))) SITE void keep_two(void);
void keep_two(void) {
  initialized = blank(40);
  uninitialized = blank(4000);
  escape(&initialized);
  escape(&uninitialized);
}
