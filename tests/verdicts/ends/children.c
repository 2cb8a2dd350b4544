// SPDX-License-Identifier: Apache-2.0
//
// Processes that come from others. Argument: how. `fork`: a child, and a child of it, allocate, lose and keep blocks,
// also in blocks that they inherited, and end. `vfork`: a child that runs in its parent's memory and ends first.
// `exec`: the program becomes itself, and loses another block. `daemon`: it ends, and a child of it goes on.
//
// Expected: each process is judged for what it allocated itself. What an inherited block holds that is kept is
// reachable, what one holds that is lost, indirect. There is no verdict of what was live at an exec, nor in a process
// that daemon() ends, which calls no function that can be hooked. Valgrind judges each
// process for all that it has, inherited blocks too, and takes a vfork for a fork.
#include <sys/wait.h>

#include "told.h"

struct node {
  void* own;
  char text[48];
};
static struct node* kept;
static uintptr_t hidden;  // The complement of the address of a lost block.

SITE static struct node* parents_kept(void) { return blank(56); }
SITE static struct node* parents_lost(void) { return blank(64); }
SITE static void childs_lost(void) { blank(72); }
SITE static void* childs_in_kept(void) { return blank(80); }
SITE static void* childs_in_lost(void) { return blank(88); }
SITE static void* grandchilds_lost(void) { return blank(96); }
SITE static void* grandchilds_in_kept(void) { return blank(104); }
SITE static void before_exec(void) { blank(112); }
SITE static void after_exec(void) { blank(120); }

__attribute__((noinline)) static void prepare(void) {
  kept = parents_kept();
  hidden = ~(uintptr_t)parents_lost();
  escape(&hidden);
}

__attribute__((noinline)) static void use_inherited(void) {
  kept->own = childs_in_kept();
  ((struct node*)~hidden)->own = childs_in_lost();
  childs_lost();
}

__attribute__((noinline)) static void use_inherited_again(void) {
  kept->own = grandchilds_in_kept();
  grandchilds_lost();
}

static void wait_for(pid_t child) {
  int status = -1;
  must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child");
}

static void run_fork(void) {
  prepare();
  pid_t child = fork();
  if (child == 0) {
    use_inherited();
    child = fork();
    if (child == 0) {
      use_inherited_again();
      tell("grandchilds_in_kept", "reachable", 1, 104);
      tell("grandchilds_lost", "definite", 1, 96);
      return;
    }
    wait_for(child);
    tell("childs_in_kept", "reachable", 1, 80);
    tell("childs_in_lost", "indirect", 1, 88);
    tell("childs_lost", "definite", 1, 72);
    return;
  }
  wait_for(child);
  tell("parents_kept", "reachable", 1, 56);
  tell("parents_lost", "definite", 1, 64);
  tell_of_valgrind("parents_kept", "reachable", 3, 3 * 56);
  tell_of_valgrind("parents_lost", "definite", 3, 3 * 64);
  tell_of_valgrind("childs_in_kept", "reachable", 1, 80);
  tell_of_valgrind("childs_in_kept", "definite", 1, 80);  // In the grandchild.
  tell_of_valgrind("childs_in_lost", "indirect", 2, 2 * 88);
  tell_of_valgrind("childs_lost", "definite", 2, 2 * 72);
}

static void run_vfork(void) {
  prepare();
  const pid_t child = vfork();
  if (child == 0) _exit(0);
  wait_for(child);
  tell("parents_kept", "reachable", 1, 56);
  tell("parents_lost", "definite", 1, 64);
  tell_of_valgrind("parents_kept", "reachable", 2, 2 * 56);
  tell_of_valgrind("parents_lost", "definite", 2, 2 * 64);
}

static void run_daemon(void) {
  prepare();
  must(daemon(1, 1) == 0, "daemon");
  use_inherited();
  tell("childs_in_kept", "reachable", 1, 80);
  tell("childs_in_lost", "indirect", 1, 88);
  tell("childs_lost", "definite", 1, 72);
  tell_of_valgrind("parents_kept", "reachable", 2, 2 * 56);
  tell_of_valgrind("parents_lost", "definite", 2, 2 * 64);
}

int main(int argc, char** argv) {
  must(argc == 2, "arguments");
  if (strcmp(argv[1], "fork") == 0) run_fork();
  if (strcmp(argv[1], "vfork") == 0) run_vfork();
  if (strcmp(argv[1], "daemon") == 0) run_daemon();
  if (strcmp(argv[1], "exec") == 0) {
    before_exec();
    execl(argv[0], argv[0], "executed", (char*)NULL);
    must(0, "execl");
  }
  if (strcmp(argv[1], "executed") == 0) {
    after_exec();
    tell("after_exec", "definite", 1, 120);
  }
  last_words();
  return 0;
}
