// SPDX-License-Identifier: Apache-2.0
//
// Signal handlers on the same stack and on an alternate one, nested in each other, and of faults.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "stacks.h"

namespace {

constexpr size_t kStackBytes = 4 << 20;

// What a handler takes up.
thread_local Descent* handed_over = nullptr;
thread_local uint64_t result_back = 0;

void go_on_once() {
  Descent* descent = handed_over;
  handed_over = nullptr;
  if (descent != nullptr) result_back = descend(*descent);
}

void on_signal(int) { go_on_once(); }
void on_signal_with_context(int, siginfo_t*, void*) { go_on_once(); }

void on_fault(int, siginfo_t*, void* argument) {
  go_on_once();
  static_cast<ucontext_t*>(argument)->uc_mcontext.gregs[REG_RIP] += 2;
}

void listen(int signal, void (*handler)(int, siginfo_t*, void*), int flags) {
  struct sigaction action {};
  if (handler == nullptr) action.sa_handler = on_signal;
  else action.sa_sigaction = handler;
  action.sa_flags = flags | (handler == nullptr ? 0 : SA_SIGINFO);
  sigaction(signal, &action, nullptr);
}

// SA_NODEFER: handlers are nested.
__attribute__((constructor)) void listen_to_all() {
  listen(SIGUSR1, nullptr, SA_NODEFER);
  listen(SIGUSR2, on_signal_with_context, SA_NODEFER | SA_ONSTACK);
  listen(SIGILL, on_fault, SA_NODEFER);
}

__attribute__((noinline)) uint64_t by_raise(Descent& descent) {
  handed_over = &descent;
  raise(SIGUSR1);
  return result_back;
}

// A stack of its own for each: a handler may be left for a fiber, and another signal come there.
__attribute__((noinline)) uint64_t on_alternate_stack(Descent& descent) {
  void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) abort();
  const stack_t stack{memory, 0, kStackBytes};
  stack_t before;
  const bool is_set = sigaltstack(&stack, &before) == 0;  // Not from such a stack.
  handed_over = &descent;
  raise(SIGUSR2);
  if (is_set) sigaltstack(&before, nullptr);
  munmap(memory, kStackBytes);
  return result_back;
}

// A leaf that keeps what it needs below the stack pointer.
__attribute__((noinline)) uint64_t fault_in_leaf(uint64_t a, uint64_t b) {
  volatile uint64_t space[6] = {a, b, a + b, a - b, a * b, a ^ b};
  __asm__ volatile("ud2" ::: "memory");
  return space[0] + space[2] + space[5];
}

__attribute__((noinline)) uint64_t by_fault(Descent& descent) {
  handed_over = &descent;
  const uint64_t sum = fault_in_leaf(descent.random, 3);
  return result_back + sum;
}

const Step kSteps[] = {by_raise, on_alternate_stack, by_fault};

}  // namespace

const Steps kSignalSteps{kSteps, sizeof kSteps / sizeof *kSteps};

uint64_t descend_in_fault(Descent& descent, void (*code)()) {
  handed_over = &descent;
  code();
  return result_back;
}
