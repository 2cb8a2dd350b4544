// SPDX-License-Identifier: Apache-2.0
//
// A process that ends. Argument: how.
//
// Expected: whichever way it ends by itself, one block is lost and one kept; what the frames hold that are not left is
// reachable: of a function that calls exit, of main while another thread does so, of the thread that a signal handler
// interrupted; not what the frame of main held that has returned. What a function that is called at exit frees is not
// there; what it loses is lost. Where it is killed nothing is told.
#include <signal.h>

#include "threads.h"

static void *kept, *freed_by_handler, *lost_by_handler;

// Each is kept where the compiler cannot know that nobody looks.
static void store(void** place, void* block) {
  *place = block;
  escape(place);
}
SITE static void keep(void) { store(&kept, blank(24)); }
SITE static void lose(void) { blank(40); }
SITE static void* on_stack(void) { return blank(56); }
SITE static void* in_main(void) { return blank(72); }
SITE static void free_at_exit(void) { store(&freed_by_handler, blank(88)); }
SITE static void lose_at_exit(void) { store(&lost_by_handler, blank(104)); }

static void at_exit(void) {
  free(freed_by_handler);
  lost_by_handler = NULL;
  escape(&lost_by_handler);
  forget();
}

static void end_by(const char* how) {
  if (strcmp(how, "exit") == 0) exit(0);
  if (strcmp(how, "_exit") == 0) _exit(0);
  if (strcmp(how, "_Exit") == 0) _Exit(0);
  if (strcmp(how, "quick_exit") == 0) quick_exit(0);
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "kill") == 0) kill(getpid(), SIGKILL);
}

__attribute__((noinline)) static void end_deep(const char* how, int frames) {
  void* volatile block = frames == 50 ? on_stack() : NULL;
  if (frames > 0) {
    end_deep(how, frames - 1);
  } else {
    last_words();
    end_by(how);
  }
  escape(block);
}

static void* thread_ends(void* unused) {
  end_deep("exit", 50);
  return unused;
}
static void* returns_last(void* main_thread) {
  must(pthread_join(*(pthread_t*)main_thread, NULL) == 0, "pthread_join");
  last_words();
  return NULL;
}
static void on_signal(int signal) {
  (void)signal;
  last_words();
  exit(0);
}

static void tell_common(void) {
  tell("keep", "reachable", 1, 24);
  tell("lose", "definite", 1, 40);
}

int main(int argc, char** argv) {
  must(argc == 2, "arguments");
  const char* how = argv[1];
  static pthread_t main_thread;
  keep();
  lose();
  if (strcmp(how, "abort") == 0 || strcmp(how, "kill") == 0) end_deep(how, 0);
  tell_common();
  if (strcmp(how, "return") == 0) {
    void* volatile block = in_main();
    tell("in_main", "definite", 1, 72);
    last_words();
    escape(block);
    return 0;
  }
  if (strcmp(how, "handlers") == 0) {
    must(atexit(at_exit) == 0, "atexit");
    free_at_exit();
    lose_at_exit();
    tell("lose_at_exit", "definite", 1, 104);
    last_words();
    return 0;
  }
  if (strcmp(how, "main_first") == 0) {
    pthread_t thread;
    main_thread = pthread_self();
    must(pthread_create(&thread, NULL, returns_last, &main_thread) == 0, "pthread_create");
    pthread_exit(NULL);
  }
  void* volatile block = in_main();
  tell("in_main", "reachable", 1, 72);
  if (strcmp(how, "in_thread") == 0) {
    tell("on_stack", "reachable", 1, 56);
    begin(thread_ends);
    pause();
  }
  if (strcmp(how, "in_handler") == 0) {
    must(signal(SIGUSR1, on_signal) != SIG_ERR, "signal");
    raise(SIGUSR1);
  }
  tell("on_stack", "reachable", 1, 56);
  end_deep(how, 50);
  escape(block);
  return 97;
}
