// SPDX-License-Identifier: Apache-2.0
//
// Sixteen threads allocate, free, and load and unload a library (argument 1), while the main thread forks argument 2
// children. Each child allocates, frees what it inherited, leaks one block, and ends by _exit.
//
// Expected: every child ends by itself with 0 (a child of which nothing is heard for 60 s hangs, is counted and
// killed); what threads, plugin and children allocated is true, and the parent still has what its children freed.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process_truth.h"

enum { kThreads = 16, kShared = 20, kInChild = 10, kOutstanding = 4, kMostWaitMs = 60000 };
enum { kSharedBytes = 64, kThreadBytes = 130, kPluginBytes = 210, kChildBytes = 333 };

typedef void* (*AllocateInPlugin)(size_t);

static const char* plugin_path;
static atomic_int over;
static atomic_ulong thread_blocks, plugin_blocks;
void* volatile shared[kShared];
void* volatile leaked;

__attribute__((noinline)) static void* allocate_shared(void) { return escape(malloc(kSharedBytes)); }
__attribute__((noinline)) static void* allocate_in_thread(void) { return escape(malloc(kThreadBytes)); }
__attribute__((noinline)) static void* allocate_in_child(void) { return escape(malloc(kChildBytes)); }

static void* run(void* unused) {
  (void)unused;
  unsigned long own = 0, in_plugin = 0;
  while (!atomic_load(&over)) {
    for (int i = 0; i < 20; ++i, ++own) free(allocate_in_thread());
    void* library = dlopen(plugin_path, RTLD_NOW | RTLD_LOCAL);
    AllocateInPlugin allocate = NULL;
    if (library != NULL) *(void**)&allocate = dlsym(library, "allocate_in_plugin");
    if (allocate == NULL) abort();
    for (int i = 0; i < 5; ++i, ++in_plugin) free(allocate(kPluginBytes));
    dlclose(library);
  }
  atomic_fetch_add(&thread_blocks, own);
  atomic_fetch_add(&plugin_blocks, in_plugin);
  return NULL;
}

static void be_child(void) {
  for (int i = 0; i < 5; ++i) free(shared[i]);
  for (int i = 0; i < kInChild - 1; ++i) free(allocate_in_child());
  leaked = allocate_in_child();
  _exit(0);
}

// 1 where it hangs.
static int end_of(pid_t pid, int* failed) {
  const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd ended = {fd, POLLIN, 0};
  int status = 0, hangs = 0;
  if (poll(&ended, 1, kMostWaitMs) != 1) {
    kill(pid, SIGKILL);
    hangs = 1;
  }
  close(fd);
  if (waitpid(pid, &status, 0) != pid || status != 0) *failed += 1;
  return hangs;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  plugin_path = argv[1];
  const int forks = atoi(argv[2]);
  for (int i = 0; i < kShared; ++i) shared[i] = allocate_shared();
  pthread_t thread[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&thread[i], NULL, run, NULL) != 0) return 2;
  }
  pid_t child[kOutstanding] = {0};
  int hangs = 0, failed = 0;
  for (int i = 0; i < forks + kOutstanding; ++i) {
    pid_t* slot = &child[i % kOutstanding];
    if (*slot > 0) hangs += end_of(*slot, &failed);
    *slot = 0;
    if (i >= forks) continue;
    *slot = fork();
    if (*slot < 0) return 2;
    if (*slot == 0) be_child();
  }
  atomic_store(&over, 1);
  for (int i = 0; i < kThreads; ++i) pthread_join(thread[i], NULL);
  printf("%d forks, %d hangs, %d failed\n", forks, hangs, failed);
  const unsigned long children = (unsigned long)forks;
  const pid_t self = getpid();
  process_truth(self, "allocate_shared", kShared, kShared * kSharedBytes, kShared, kShared * kSharedBytes);
  process_truth(self, "allocate_in_thread", thread_blocks, thread_blocks * kThreadBytes, 0, 0);
  process_truth(self, "allocate_in_plugin", plugin_blocks, plugin_blocks * kPluginBytes, 0, 0);
  truth_site("allocate_in_child", children * kInChild, children * kInChild * kChildBytes, children,
             children * kChildBytes);
  return hangs != 0 || failed != 0;
}
