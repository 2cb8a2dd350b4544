// SPDX-License-Identifier: Apache-2.0
//
// Says what is no leak and asks what is, through seep/seep.h. The argument names what is done; each check that was
// asked for is a line on stdout: what for, the result, leaked blocks and bytes, whether exact, what else is wrong.
// Expected: test_api.py has it. Runs as the program under test; leaks on purpose.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "seep/seep.h"
#include "told.h"

#define CHECKED_BYTES 48

static void check(const char* what) {
  struct seep_leaks leaks = {7, 7, 7};
  forget();
  errno = 4711;
  const int result = seep_check_leaks(&leaks);
  const char* wrong = errno == 4711 ? "" : " errno";
  printf("%s %d %zu %zu %d%s\n", what, result, leaks.definite_blocks, leaks.definite_bytes, leaks.exact, wrong);
  fflush(stdout);
}

SITE static void leak(int blocks, size_t bytes) {
  for (int i = 0; i < blocks; ++i) escape(malloc(bytes));
}

SITE static void** make_pair(void) {
  void** first = (void**)escape(malloc(CHECKED_BYTES));
  memset(first, 0, CHECKED_BYTES);
  first[2] = malloc(64);
  return first;
}

static void counts(void) {
  check("nothing");
  leak(3, 100);
  check("three");
  leak(2, 1000);
  check("five");
  forget();
  printf("unasked %d\n", seep_check_leaks(NULL));
}

static void disabled(void) {
  seep_disable();
  leak(3, 100);
  seep_disable();
  leak(1, 200);
  seep_enable();
  leak(1, 400);
  seep_enable();
  check("within");
  leak(1, 800);
  check("behind");
  seep_enable();
  seep_enable();
  leak(1, 1600);
  check("enabled too often");
  seep_disable();
  leak(1, 3200);
  seep_enable();
  check("disabled again");
}

static void* leak_in_thread(void* nothing) {
  leak(2, 100);
  return nothing;
}

static void in_thread(void) {
  pthread_t thread;
  must(pthread_create(&thread, NULL, leak_in_thread, NULL) == 0, "pthread_create");
  must(pthread_join(thread, NULL) == 0, "pthread_join");
}

static void disabled_thread(void) {
  seep_disable();
  in_thread();
  seep_enable();
  check("another thread");
}

SITE static void ignore_one(size_t offset) {
  char* block = (char*)make_pair();
  printf("ignored %d\n", seep_ignore(block + offset));
}

SITE static void free_an_ignored_one(void) {
  char* block = (char*)escape(malloc(CHECKED_BYTES));
  seep_ignore(block);
  free(block);
  must(escape(malloc(CHECKED_BYTES)) == (void*)block, "the same address again");
}

static void ignored(void) {
  int of_no_block = 0;
  ignore_one(0);
  ignore_one(20);
  check("ignored");
  printf("no block %d\n", seep_ignore(&of_no_block));
  printf("null %d\n", seep_ignore(NULL));
  free_an_ignored_one();
  check("freed");
}

// A pointer where nobody looks: in a page of the heap, behind a block that is not there any more.
SITE static void** park_pointer(void) {
  enum { kBytes = 16 << 10 };
  void* block = escape(malloc(100));
  char* memory = (char*)escape(malloc(kBytes));
  void** place = (void**)escape(memory + kBytes / 2);
  free(memory);
  *place = block;
  return place;
}

static void regions(void) {
  char* place = (char*)park_pointer();
  check("hidden");
  printf("registered %d\n", seep_register_root_region(place - 16, 32));
  check("registered");
  printf("registered %d\n", seep_register_root_region(place - 16, 32));
  printf("unregistered %d\n", seep_unregister_root_region(place - 16, 32));
  check("once of twice");
  printf("too long %d\n", seep_unregister_root_region(place - 16, 40));
  printf("unregistered %d\n", seep_unregister_root_region(place - 16, 32));
  check("unregistered");
  printf("unregistered %d\n", seep_unregister_root_region(place - 16, 32));
  printf("empty %d\n", seep_register_root_region(place, 0));
}

// A region of which only the middle may be read.
static void regions_with_holes(void) {
  enum { kPage = 4096 };
  char* pages = (char*)mmap(NULL, 3 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(pages != MAP_FAILED && mprotect(pages + kPage, kPage, PROT_READ | PROT_WRITE) == 0, "mmap");
  printf("registered %d\n", seep_register_root_region(pages - kPage, 5 * kPage));
  leak(1, 100);
  check("with holes");
}

typedef int Caller(uintptr_t hidden, uintptr_t mask, int (*call)(struct seep_leaks*), struct seep_leaks* leaks);

// Calls with the only pointer in one of the registers that a function gives back as they were.
#define CALL_WITH_POINTER_IN(REGISTER)                                                                           \
  Caller call_with_##REGISTER;                                                                                   \
  __asm__("call_with_" #REGISTER ":\n\tpush %" #REGISTER "\n\tmov %rdi, %" #REGISTER "\n\txor %rsi, %" #REGISTER \
          "\n\tmov %rcx, %rdi\n\tcall *%rdx\n\tpop %" #REGISTER "\n\tret")
CALL_WITH_POINTER_IN(rbx);
CALL_WITH_POINTER_IN(rbp);
CALL_WITH_POINTER_IN(r12);
CALL_WITH_POINTER_IN(r13);
CALL_WITH_POINTER_IN(r14);
CALL_WITH_POINTER_IN(r15);

static const uintptr_t kMask = 0x5555555555555555;

SITE static uintptr_t hide(void) { return (uintptr_t)malloc(100) ^ kMask; }

static void registers(void) {
  static const struct {
    const char* name;
    Caller* call;
  } kCallers[] = {{"rbx", call_with_rbx}, {"rbp", call_with_rbp}, {"r12", call_with_r12},
                  {"r13", call_with_r13}, {"r14", call_with_r14}, {"r15", call_with_r15}};
  const uintptr_t hidden = hide();
  for (unsigned i = 0; i < sizeof kCallers / sizeof kCallers[0]; ++i) {
    struct seep_leaks leaks;
    forget();
    const int result = kCallers[i].call(hidden, kMask, seep_check_leaks, &leaks);
    printf("%s %d %zu\n", kCallers[i].name, result, leaks.definite_blocks);
  }
  forget();
  check("nowhere");
}

static struct seep_leaks found_in_handler;
static volatile int handler_result = 7;

static void on_signal(int number) {
  (void)number;
  handler_result = seep_check_leaks(&found_in_handler);
}

static void in_handler(void) {
  leak(2, 100);
  must(signal(SIGUSR1, on_signal) != SIG_ERR, "signal");
  forget();
  must(raise(SIGUSR1) == 0, "raise");
  printf("handler %d %zu %zu\n", handler_result, found_in_handler.definite_blocks, found_in_handler.definite_bytes);
}

static void begun(void) {
  leak(4, 100);
  forget();
  printf("active %d\n", seep_is_active());
  printf("begun %d\n", seep_scan());
  check("behind");
}

static void snapshots(void) {
  leak(4, 100);
  check("checked");
  printf("written %d\n", seep_snapshot());
}

int main(int count, char** arguments) {
  static const struct {
    const char* name;
    void (*run)(void);
  } kAll[] = {{"counts", counts},       {"disabled", disabled},     {"disabled_thread", disabled_thread},
              {"ignored", ignored},     {"regions", regions},       {"regions_with_holes", regions_with_holes},
              {"registers", registers}, {"in_handler", in_handler}, {"begun", begun},
              {"snapshots", snapshots}};
  must(count == 2, "an argument");
  for (unsigned i = 0; i < sizeof kAll / sizeof kAll[0]; ++i) {
    if (strcmp(arguments[1], kAll[i].name) != 0) continue;
    kAll[i].run();
    return 0;
  }
  must(0, "no such thing");
}
