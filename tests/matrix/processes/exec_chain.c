// SPDX-License-Identifier: Apache-2.0
//
// Executes itself in each way that there is, nine of them one after the other; each image leaks one block, of another
// size. Argument 1, which is the number of this image, is given on.
//
// Expected: each image's leak is in a recording of its own; all ended by exec but the last.
#include <fcntl.h>

#include "truth.h"

enum { kBytes = 1000 };

extern char** environ;

void* volatile leaked;

__attribute__((noinline)) static void* leak(size_t bytes) { return escape(malloc(bytes)); }

int main(int argc, char** argv) {
  const int number = argc > 1 ? atoi(argv[1]) : 0;
  const size_t bytes = (size_t)(kBytes + number);
  leaked = leak(bytes);
  truth_site("leak", 1, bytes, 1, bytes);
  char next[16];
  snprintf(next, sizeof next, "%d", number + 1);
  char* const arguments[] = {argv[0], next, NULL};
  const char* self = argv[0];
  switch (number) {
    case 0: execv(self, arguments); break;
    case 1: execve(self, arguments, environ); break;
    case 2: execvp(self, arguments); break;
    case 3: execvpe(self, arguments, environ); break;
    case 4: execl(self, self, next, (char*)NULL); break;
    case 5: execlp(self, self, next, (char*)NULL); break;
    case 6: execle(self, self, next, (char*)NULL, environ); break;
    case 7: fexecve(open(self, O_RDONLY | O_CLOEXEC), arguments, environ); break;
    case 8: execveat(AT_FDCWD, self, arguments, environ, 0); break;
    default: return 0;
  }
  return 1;
}
