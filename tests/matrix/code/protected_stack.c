// SPDX-License-Identifier: Apache-2.0
//
// What was stack a moment ago, and was read then, cannot be read any more. Code without tables has any word in the
// frame pointer, so the walk may look there: a page further up the stack that is not accessible at present, in the main
// thread, in a thread, and on a fiber whose stack has become smaller.
//
// Expected: no fault; everything is counted.
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "machine_code.h"
#include "truth.h"

enum { kPage = 4096, kTimes = 50, kBytes = 5000 };

static calls_malloc code;

__attribute__((noinline)) static void* allocates_on_the_stack(size_t bytes) { return escape(malloc(bytes)); }

// All in one frame that has whole pages of its own.
__attribute__((noinline)) static void protect_above(void) {
  char pages[3 * kPage];
  memset(escape(pages), 0, sizeof pages);
  char* page = (char*)(((uintptr_t)pages + kPage - 1) & ~(uintptr_t)(kPage - 1));
  for (int i = 0; i < kTimes; ++i) {
    free(escape(code(allocates_on_the_stack, kBytes, (uintptr_t)page + 64)));
    if (mprotect(page, kPage, PROT_NONE) != 0) abort();
    free(escape(code(allocates_on_the_stack, kBytes, (uintptr_t)page + 64)));
    if (mprotect(page, kPage, PROT_READ | PROT_WRITE) != 0) abort();
  }
}

static void* body(void* argument) {
  protect_above();
  return argument;
}

int main(void) {
  code = make_code(kWithoutFramePointer, sizeof kWithoutFramePointer);
  protect_above();
  pthread_t thread;
  pthread_create(&thread, NULL, body, NULL);
  pthread_join(thread, NULL);
  truth_site("allocates_on_the_stack", 4 * kTimes, 4 * kTimes * kBytes, 0, 0);
  puts("ends well");
  return 0;
}
