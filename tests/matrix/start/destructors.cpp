// SPDX-License-Identifier: Apache-2.0
//
// Frees and allocates where programs end things: destructors of static objects, of the program's and of a library's
// that is opened and left open; 100 atexit handlers (more than fit into libc's first table, so it allocates under its
// lock); destructors of thread_local objects and of pthread keys, in four rounds, the keys made before and after the
// first allocation and before and after the thread_local objects; in threads that return, and in main's own thread.
//
// Expected: all of it balances to nothing live, and each destructor runs as often as without seep.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "truth.h"

namespace {

constexpr int kHandlers = 100, kThreads = 8, kRounds = 4, kKeysEach = 3;
constexpr int kStaticBlocks = 30;
constexpr int kThreadBlocks = 5;

__attribute__((noinline)) void* make_for_static(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* make_for_handler(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* make_for_thread(size_t bytes) { return escape(malloc(bytes)); }
__attribute__((noinline)) void* make_for_key(size_t bytes) { return escape(malloc(bytes)); }

std::atomic<int> handlers_run{0}, thread_locals_gone{0}, key_rounds{0};

// Allocates and frees while it is destroyed, too.
struct Static {
  void* blocks[kStaticBlocks];
  Static() {
    for (void*& block : blocks) block = make_for_static(700);
  }
  ~Static() {
    for (void* block : blocks) {
      free(block);
      free(make_for_static(70));
    }
    char line[160];
    const int length = snprintf(line, sizeof line, "handlers %d, thread locals %d, key rounds %d\n",
                                handlers_run.load(), thread_locals_gone.load(), key_rounds.load());
    (void)!write(1, line, static_cast<size_t>(length));
  }
};
Static first_static;

struct ThreadLocal {
  void* blocks[kThreadBlocks];
  ThreadLocal() {
    for (void*& block : blocks) block = make_for_thread(300);
  }
  ~ThreadLocal() {
    for (void* block : blocks) free(block);
    free(make_for_thread(30));
    ++thread_locals_gone;
  }
};
thread_local ThreadLocal of_thread;

pthread_key_t keys_before[kKeysEach], keys_after[kKeysEach];

struct KeyValue {
  pthread_key_t key;
  int round;
};

// Sets its key again, to a new block, until the last round.
void end_of_key(void* value) {
  KeyValue* old = static_cast<KeyValue*>(value);
  ++key_rounds;
  if (old->round < kRounds) {
    KeyValue* again = static_cast<KeyValue*>(make_for_key(sizeof(KeyValue)));
    *again = {old->key, old->round + 1};
    pthread_setspecific(old->key, again);
  }
  free(old);
}

void set_keys(const pthread_key_t* keys) {
  for (int i = 0; i < kKeysEach; ++i) {
    KeyValue* value = static_cast<KeyValue*>(make_for_key(sizeof(KeyValue)));
    *value = {keys[i], 1};
    pthread_setspecific(keys[i], value);
  }
}

void work_in_thread() {
  set_keys(keys_before);
  of_thread.blocks[0] = realloc(of_thread.blocks[0], 301);
  set_keys(keys_after);
}

void* handler_blocks[kHandlers];
void run_handler() { free(handler_blocks[handlers_run++]); }

std::map<int, std::string>* leaked_on_purpose_never;  // Freed by the last destructor.
struct FreesMap {
  ~FreesMap() { delete leaked_on_purpose_never; }
} frees_map;

void tell_truth() {
  const unsigned long keys = (kThreads * 2ul) * kKeysEach * kRounds;
  truth_site("make_for_static", 2ul * kStaticBlocks, (700ul + 70) * kStaticBlocks, 0, 0);
  truth_site("make_for_handler", kHandlers, 90ul * kHandlers, 0, 0);
  // Main's thread_local is made, too; a realloc is in work_in_thread.
  truth_site("make_for_thread", (kThreadBlocks + 1ul) * (kThreads + 1), (300ul * kThreadBlocks + 30) * (kThreads + 1),
             0, 0);
  truth_site("work_in_thread", kThreads, 301ul * kThreads, 0, 0);
  truth_site("make_for_key", keys, keys * sizeof(KeyValue), 0, 0);
}

}  // namespace

int main(int, char** argv) {
  for (pthread_key_t& key : keys_before) pthread_key_create(&key, end_of_key);
  leaked_on_purpose_never = new std::map<int, std::string>;
  for (int i = 0; i < 50; ++i) (*leaked_on_purpose_never)[i] = std::string(100, 'x');
  const std::string library = std::string(argv[0]) + "_library.so";
  if (dlopen(library.c_str(), RTLD_NOW) == nullptr) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  for (int i = 0; i < kHandlers; ++i) {
    handler_blocks[i] = make_for_handler(90);
    atexit(run_handler);
  }
  for (pthread_key_t& key : keys_after) pthread_key_create(&key, end_of_key);
  of_thread.blocks[0] = escape(of_thread.blocks[0]);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work_in_thread);
  for (std::thread& thread : threads) thread.join();
  tell_truth();
  return 0;
}
