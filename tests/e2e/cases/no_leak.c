// SPDX-License-Identifier: Apache-2.0
//
// Allocates and frees, in all 1,000 blocks of 100 bytes. Expected: nothing of it is live at exit. Built a second time
// as a static program, which cannot be observed.

#include <stdio.h>
#include <stdlib.h>

void* volatile escaped;

int main(void) {
  for (int i = 0; i < 1000; ++i) {
    escaped = malloc(100);
    free(escaped);
  }
  fputs("no leak\n", stderr);
  return 0;
}
