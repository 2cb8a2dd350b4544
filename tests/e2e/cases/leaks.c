// SPDX-License-Identifier: Apache-2.0
//
// A program with a leak of each verdict. Arguments: what it does, in this order.
//
//     leak     make_message() allocates 100 messages of 1,000 bytes, send_message() frees 90 of them: 10 are lost.
//              open_list() loses a list of 64 bytes, from which 50 nodes of 48 bytes of add_node() hang.
//     maybe    make_view() allocates 700 bytes, of which only the middle is pointed to.
//     keep     make_table() allocates 5,000 bytes, which a global variable points to.
//     ask      asks for a leak scan (__lsan_do_recoverable_leak_check).
//     drop     frees all messages that were lost: a program that was wrong to be called leaking.
//     kill     ends by SIGKILL.
//     exec     replaces itself by /bin/true.
//     _exit, quick_exit
//              ends so, with 0.
//
// All memory is cleared: what freed blocks have left in it are pointers, too.
//
// Where it is compiled with SUPPRESSES it wants to hear nothing about make_message().
#define _GNU_SOURCE
#include <signal.h>

#include "../../verdicts/told.h"

enum { kMessages = 100, kLost = 10, kNodes = 50 };

struct node {
  struct node* next;
  char text[40];
};

static void* messages[kMessages];
static uintptr_t hidden[kLost];  // The complements of lost pointers.
static void *table, *view_middle;

#ifdef SUPPRESSES
__attribute__((visibility("default"))) const char* __lsan_default_suppressions(void) {
  return "# Lost on purpose.\nleak:^make_message$\n";
}
#endif

SITE static void* make_message(void) { return escape(calloc(1, 1000)); }

SITE static void send_message(void* message) {
  free(message);
  escape(NULL);
}

SITE static struct node* add_node(struct node* next) {
  struct node* node = escape(calloc(1, sizeof *node));
  node->next = next;
  return node;
}

SITE static void** open_list(void) { return escape(calloc(1, 64)); }

SITE static void lose_list(void) {
  void** list = open_list();
  struct node* first = NULL;
  for (int index = 0; index < kNodes; ++index) first = add_node(first);
  *list = first;
  escape(list);
}

SITE static void lose_messages(void) {
  for (int index = 0; index < kMessages; ++index) messages[index] = make_message();
  for (int index = 0; index < kMessages; ++index) {
    if (index % 10 == 3) {
      hidden[index / 10] = ~(uintptr_t)messages[index];
    } else {
      send_message(messages[index]);
    }
    messages[index] = NULL;
  }
  escape(messages);
}

SITE static void drop_messages(void) {
  for (int index = 0; index < kLost; ++index) send_message((void*)~hidden[index]);
}

SITE static void make_view(void) {
  char* view = escape(calloc(1, 700));
  view_middle = view + 350;
  escape(&view_middle);
}

SITE static void make_table(void) {
  table = escape(calloc(1, 5000));
  escape(&table);
}

static void act(const char* what) {
  if (strcmp(what, "leak") == 0) {
    lose_messages();
    lose_list();
  }
  if (strcmp(what, "maybe") == 0) make_view();
  if (strcmp(what, "keep") == 0) make_table();
  forget();
  if (strcmp(what, "ask") == 0) {
    must(__lsan_do_recoverable_leak_check != NULL, "a scan");
    __lsan_do_recoverable_leak_check();
  }
  if (strcmp(what, "drop") == 0) drop_messages();
  if (strcmp(what, "kill") == 0) raise(SIGKILL);
  if (strcmp(what, "_exit") == 0) _exit(0);
  if (strcmp(what, "quick_exit") == 0) quick_exit(0);
  if (strcmp(what, "exec") == 0) execl("/bin/true", "true", (char*)NULL);
}

int main(int argc, char** argv) {
  for (int index = 1; index < argc; ++index) act(argv[index]);
  forget();
  return 0;
}
