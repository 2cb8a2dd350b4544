// SPDX-License-Identifier: Apache-2.0
//
// The allocator behind the hooks calls back into the program, which does not come back: it throws, longjmps, or is
// cancelled and so unwound, out of malloc, calloc, realloc and aligned_alloc, 1,500 times each. And a new_handler
// throws or longjmps out of operator new. Then a fixed number of blocks is allocated, in the thread that it happened to
// and in another.
//
// Expected: each exception arrives as itself, with the destructors on its way run; the counts are exact: what was not
// returned was not allocated, and a block whose realloc was left is live as before.
#include <pthread.h>

#include <csetjmp>
#include <new>

#include "interruptible_malloc.h"
#include "truth.h"

namespace {

constexpr int kTimes = 1500, kCancelled = 300, kAfter = 500, kKept = 300;
constexpr size_t kCallbackBytes = 3333, kBlockBytes = 120, kAfterBytes = 250;
constexpr size_t kTooMuch = size_t{1} << 40;

// As the program knows them: those of the headers are said never to throw, and the compiler believes it.
void* (*volatile any_malloc)(size_t) = malloc;
void* (*volatile any_calloc)(size_t, size_t) = calloc;
void* (*volatile any_realloc)(void*, size_t) = realloc;
void* (*volatile any_aligned_alloc)(size_t, size_t) = aligned_alloc;

struct Refusal {
  int number;
};

int thrown, caught, destroyed;
jmp_buf back;
void* kept_blocks[kTimes];
void* kept_after[2][kKept];

struct Destroyed {
  ~Destroyed() { ++destroyed; }
};

void throw_refusal() { throw Refusal{++thrown}; }
void jump_back() { longjmp(back, 1); }
void be_cancelled() { pthread_testcancel(); }

using Call = void (*)(int);

__attribute__((noinline)) void* make_block() { return escape(malloc(kBlockBytes)); }
__attribute__((noinline)) void* allocate_after() { return escape(malloc(kAfterBytes)); }

void call_malloc(int) { escape(any_malloc(kCallbackBytes)); }
void call_calloc(int) { escape(any_calloc(3, kCallbackBytes / 3)); }
void call_realloc(int i) { escape(any_realloc(kept_blocks[i], kCallbackBytes)); }
void call_aligned_alloc(int) { escape(any_aligned_alloc(16, kCallbackBytes)); }
void call_new(int) { escape(operator new(kTooMuch)); }

constexpr Call kCalls[] = {call_malloc, call_calloc, call_realloc, call_aligned_alloc, call_new};

__attribute__((noinline)) void call_below_destructor(Call call, int i) {
  Destroyed on_the_way;
  call(i);
}

void throw_out_of(Call call) {
  for (int i = 0; i < kTimes; ++i) {
    try {
      call_below_destructor(call, i);
    } catch (const Refusal& refusal) {
      caught += refusal.number == thrown ? 1 : 0;
    }
  }
}

void jump_out_of(Call call) {
  static int i;  // Not in a register that a longjmp puts back.
  for (i = 0; i < kTimes; ++i) {
    if (setjmp(back) == 0) call(i);
  }
}

void* cancelled_in_malloc(void*) {
  Destroyed on_the_way;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  pthread_cancel(pthread_self());
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
  call_malloc(0);
  return nullptr;
}

int cancel_in_malloc() {
  int cancelled = 0;
  for (int i = 0; i < kCancelled; ++i) {
    pthread_t thread;
    void* result = nullptr;
    if (pthread_create(&thread, nullptr, cancelled_in_malloc, nullptr) != 0) abort();
    pthread_join(thread, &result);
    cancelled += result == PTHREAD_CANCELED ? 1 : 0;
  }
  return cancelled;
}

void* allocate_afterwards(void* which) {
  void** keep = kept_after[which == nullptr ? 0 : 1];
  for (int i = 0; i < kAfter; ++i) {
    void* block = allocate_after();
    if (i < kKept) keep[i] = block;
    else free(block);
  }
  return nullptr;
}

}  // namespace

int main() {
  for (void*& block : kept_blocks) block = make_block();
  interruptible_callback_bytes = kCallbackBytes;
  interruptible_callback = throw_refusal;
  std::set_new_handler(throw_refusal);
  for (const Call call : kCalls) throw_out_of(call);
  printf("%d thrown, %d caught, %d destroyed\n", thrown, caught, destroyed);

  interruptible_callback = jump_back;
  std::set_new_handler(jump_back);
  for (const Call call : kCalls) jump_out_of(call);

  interruptible_callback = be_cancelled;
  destroyed = 0;
  const int cancelled = cancel_in_malloc();
  printf("%d cancelled, %d destroyed\n", cancelled, destroyed);
  interruptible_callback = nullptr;

  allocate_afterwards(nullptr);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, allocate_afterwards, kept_after) != 0) return 1;
  pthread_join(thread, nullptr);
  truth_site("make_block", kTimes, kTimes * kBlockBytes, kTimes, kTimes * kBlockBytes);
  truth_site("allocate_after", 2 * kAfter, 2 * kAfter * kAfterBytes, 2 * kKept, 2 * kKept * kAfterBytes);
  return 0;
}
