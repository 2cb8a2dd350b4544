// SPDX-License-Identifier: Apache-2.0
//
// A library with thread-local storage that has no room in the static block. Runs inside thread_locals.
#include "told.h"

static __thread void* first;
static __thread void* far_apart[20000];

__attribute__((visibility("default"))) SITE void keep_two(void);
void keep_two(void) {
  first = blank(300);
  far_apart[19000] = blank(400);
  escape(&first);
  escape(far_apart);
}
