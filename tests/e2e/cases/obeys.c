// SPDX-License-Identifier: Apache-2.0
//
// Does what it is told, a letter a line on standard input, and says "done" after each: `h` holds 10 blocks of 1,000
// bytes more in hold(), `f` forks a child that obeys in its stead while it waits, `x` exits with 5. `s` spins without
// allocating, `p` pauses; both for ever, after their "done". Expected: what hold() allocated is live at each moment.

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBlocks = 10, kBytes = 1000 };

void* volatile held;
volatile unsigned long turns;

static __attribute__((noinline)) void hold(void) {
  for (int i = 0; i < kBlocks; ++i) {
    void** block = malloc(kBytes);
    *block = held;
    held = block;
  }
}

static void say_done(void) {
  if (write(1, "done\n", 5) != 5) _exit(9);
}

int main(void) {
  char order;
  while (read(0, &order, 1) == 1) {
    if (order == '\n') continue;
    if (order == 'h') hold();
    if (order == 'f' && fork() != 0) {
      wait(NULL);
      return 6;
    }
    if (order == 'x') exit(5);
    say_done();
    while (order == 's') ++turns;
    while (order == 'p') pause();
  }
  return 4;
}
