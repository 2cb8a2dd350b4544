// SPDX-License-Identifier: Apache-2.0
//
// Other stacks: threads, how they end, and fibers.
#include "stacks.h"

#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace {

constexpr size_t kStackBytes = 4 << 20;

struct AllocatesWhenDestroyed {
  uint64_t number;
  ~AllocatesWhenDestroyed() { allocate(number); }
};

void* run_thread(void* descent) {
  thread_local AllocatesWhenDestroyed last{1};
  allocate(last.number);
  return reinterpret_cast<void*>(descend(*static_cast<Descent*>(descent)));
}

uint64_t in_thread(Descent& descent, void* (*function)(void*)) {
  pthread_t thread;
  void* result = nullptr;
  if (pthread_create(&thread, nullptr, function, &descent) != 0) abort();
  pthread_join(thread, &result);
  return reinterpret_cast<uint64_t>(result);
}

__attribute__((noinline)) uint64_t by_thread(Descent& descent) {
  if (descent.threads++ >= kMostThreads) return descend(descent);
  return in_thread(descent, run_thread);
}

__attribute__((noinline)) void leave_thread(Descent& descent) {
  const AllocatesWhenDestroyed guard{descent.random};
  const uint64_t result = descend(descent);
  pthread_exit(reinterpret_cast<void*>(result));  // Unwinds: destructors run.
}

__attribute__((noinline)) void* run_thread_that_leaves(void* argument) {
  auto& descent = *static_cast<Descent*>(argument);
  const AllocatesWhenDestroyed guard{descent.random};
  leave_thread(descent);
  return nullptr;
}

__attribute__((noinline)) uint64_t by_thread_that_leaves(Descent& descent) {
  if (descent.threads++ >= kMostThreads) return descend(descent);
  return in_thread(descent, run_thread_that_leaves);
}

struct Fiber {
  ucontext_t own, back;
  Descent* descent;
  uint64_t result;
};

// Two halves of a pointer: makecontext has arguments of type int only.
void run_fiber(unsigned high, unsigned low) {
  auto& fiber = *reinterpret_cast<Fiber*>(static_cast<uint64_t>(high) << 32 | low);
  fiber.result = descend(*fiber.descent);
  swapcontext(&fiber.own, &fiber.back);  // And back once more.
  allocate(fiber.result);
}

__attribute__((noinline)) uint64_t by_fiber(Descent& descent) {
  Fiber fiber;
  fiber.descent = &descent;
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || getcontext(&fiber.own) != 0) abort();
  fiber.own.uc_stack.ss_sp = memory;
  fiber.own.uc_stack.ss_size = kStackBytes;
  fiber.own.uc_link = &fiber.back;
  const auto address = reinterpret_cast<uint64_t>(&fiber);
  makecontext(&fiber.own, reinterpret_cast<void (*)()>(run_fiber), 2, static_cast<unsigned>(address >> 32),
              static_cast<unsigned>(address));
  swapcontext(&fiber.back, &fiber.own);
  swapcontext(&fiber.back, &fiber.own);  // Its end leads here by uc_link.
  munmap(memory, kStackBytes);
  return fiber.result;
}

const Step kSteps[] = {by_thread, by_thread_that_leaves, by_fiber};

}  // namespace

const Steps kStackSteps{kSteps, sizeof kSteps / sizeof *kSteps};
