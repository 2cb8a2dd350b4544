// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer stands on the stack of a fiber (makecontext) that is not running: the stack is a block of
// malloc's, or a mapping. And the other way round: the process ends on a fiber, and main's frame, which is not left,
// holds one.
//
// Expected: all reachable, the malloced stack too.
#include <sys/mman.h>
#include <ucontext.h>

#include "told.h"

enum { kStackBytes = 128 << 10 };
static ucontext_t main_context, malloced_context, mapped_context, last_context;
static void *malloced_stack, *mapped_stack, *last_stack;

SITE static void* for_malloced(void) { return blank(24); }
SITE static void* for_mapped(void) { return blank(40); }
SITE static void* for_main(void) { return blank(56); }
SITE static void make_stack(void) { malloced_stack = blank(kStackBytes); }

static void on_malloced(void) {
  void* volatile block = for_malloced();
  forget();
  swapcontext(&malloced_context, &main_context);
  escape(block);
}
static void on_mapped(void) {
  void* volatile block = for_mapped();
  forget();
  swapcontext(&mapped_context, &main_context);
  escape(block);
}
static void on_last(void) {
  last_words();
  exit(0);
}

static void prepare(ucontext_t* context, void* stack, void (*run)(void)) {
  must(getcontext(context) == 0, "getcontext");
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = &main_context;
  makecontext(context, run, 0);
}
static void* map_stack(void) {
  void* stack = mmap(NULL, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(stack != MAP_FAILED, "mmap");
  return stack;
}

int main(void) {
  make_stack();
  mapped_stack = map_stack();
  last_stack = map_stack();
  prepare(&malloced_context, malloced_stack, on_malloced);
  swapcontext(&main_context, &malloced_context);
  prepare(&mapped_context, mapped_stack, on_mapped);
  swapcontext(&main_context, &mapped_context);
  void* volatile block = for_main();
  tell("for_malloced", "reachable", 1, 24);
  tell("for_mapped", "reachable", 1, 40);
  tell("for_main", "reachable", 1, 56);
  tell("make_stack", "reachable", 1, kStackBytes);
  prepare(&last_context, last_stack, on_last);
  swapcontext(&main_context, &last_context);
  return block == NULL;
}
