// SPDX-License-Identifier: Apache-2.0
//
// Keeps a pointer in a block of its own; see deep_binding.c.
#include <stdlib.h>

void keep(void* pointer);

static void* volatile* volatile box;

void keep(void* pointer) {
  box = malloc(64);
  if (box != NULL) box[2] = pointer;
}
