// SPDX-License-Identifier: Apache-2.0
//
// Frames of every shape that a compiler makes: small, large, of variable size, realigned, with all registers saved,
// with arguments on the stack, of variadic functions, and those that have left by a tail call.
#include <setjmp.h>

#include <cstdarg>

#include "stacks.h"

namespace {

__attribute__((noinline)) uint64_t small_frame(Descent& descent) { return descend(descent) * 3; }

__attribute__((noinline)) uint64_t tail_call(Descent& descent) { return descend(descent); }

template <size_t kBytes>
__attribute__((noinline)) uint64_t sized_frame(Descent& descent) {
  volatile char space[kBytes];
  space[0] = 1;
  space[kBytes - 1] = 2;
  return descend(descent) + static_cast<uint64_t>(space[0] + space[kBytes - 1]);
}

__attribute__((noinline)) uint64_t variable_frame(Descent& descent) {
  const size_t bytes = 1 + descent.next(3000);
  volatile char* space = static_cast<char*>(__builtin_alloca(bytes));
  space[0] = 1;
  space[bytes - 1] = 2;
  return descend(descent) + static_cast<uint64_t>(space[0]);
}

// A frame within a frame, many times over.
__attribute__((noinline)) uint64_t growing_frame(Descent& descent) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < 3; ++i) {
    volatile char* space = static_cast<char*>(__builtin_alloca(16 + 100 * i));
    space[i] = static_cast<char>(i);
    allocate(i);
    sum += static_cast<uint64_t>(space[i]);
  }
  return descend(descent) + sum;
}

template <size_t kAlignment>
__attribute__((noinline)) uint64_t aligned_frame(Descent& descent) {
  alignas(kAlignment) volatile char space[2 * kAlignment];
  space[0] = 1;
  const uint64_t result = descend(descent);
  if (reinterpret_cast<uintptr_t>(space) % kAlignment != 0) abort();
  return result + static_cast<uint64_t>(space[0]);
}

// Realigned, and of variable size: gcc finds the caller's frame through r10, saved, by an expression.
__attribute__((noinline)) uint64_t aligned_variable_frame(Descent& descent) {
  alignas(128) volatile char space[256];
  const size_t bytes = 1 + descent.next(500);
  volatile char* more = static_cast<char*>(__builtin_alloca(bytes));
  space[0] = 1;
  more[0] = 1;
  const uint64_t result = descend(descent);
  return result + static_cast<uint64_t>(space[0] + more[bytes / 2] - more[bytes / 2]);
}

__attribute__((noinline)) uint64_t with_arguments_on_the_stack(Descent& descent, uint64_t a, uint64_t b, uint64_t c,
                                                               uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                                                               uint64_t h) {
  const uint64_t result = descend(descent);
  return result + a * b + c * d + e * f + g * h;
}

__attribute__((noinline)) uint64_t aligned_with_arguments(Descent& descent, uint64_t a, uint64_t b, uint64_t c,
                                                          uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  alignas(64) volatile uint64_t space[16];
  space[3] = a;
  const uint64_t result = descend(descent);
  return result + space[3] * b + c * d + e * f + g * h;
}

__attribute__((noinline)) uint64_t many_arguments(Descent& descent) {
  const uint64_t r = descent.random;
  return with_arguments_on_the_stack(descent, r, r + 1, r + 2, r + 3, r + 4, r + 5, r + 6, r + 7);
}

__attribute__((noinline)) uint64_t many_aligned_arguments(Descent& descent) {
  const uint64_t r = descent.random;
  return aligned_with_arguments(descent, r, r + 1, r + 2, r + 3, r + 4, r + 5, r + 6, r + 7);
}

__attribute__((noinline, force_align_arg_pointer)) uint64_t realigned_frame(Descent& descent) {
  return descend(descent) + 5;
}

// Values that live across the call in every register that a call preserves.
__attribute__((noinline)) uint64_t all_registers(Descent& descent) {
  uint64_t a = descent.next(9), b = descent.next(9), c = descent.next(9), d = descent.next(9), e = descent.next(9),
           f = descent.next(9), g = descent.next(9);
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
  const uint64_t result = descend(descent);
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
  return result + a * b + c * d + e * f + g;
}

// A frame that is only made on the way to the call (shrink-wrapping).
__attribute__((noinline)) uint64_t late_frame(Descent& descent) {
  if (descent.depth < 0) return 1;
  if ((descent.random & 3) == 0) return descend(descent) + descent.random;
  uint64_t a = descent.random, b = a * 3, c = b * 5;
  const uint64_t result = descend(descent);
  __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));
  return result ^ a ^ b ^ c;
}

__attribute__((noinline)) uint64_t variadic(Descent* descent, ...) {
  va_list list;
  va_start(list, descent);
  uint64_t sum = 0;
  for (int i = 0; i < 9; ++i) sum += va_arg(list, uint64_t);
  const double last = va_arg(list, double);
  sum += descend(*descent);
  va_end(list);
  return sum + static_cast<uint64_t>(last);
}

__attribute__((noinline)) uint64_t calls_variadic(Descent& descent) {
  const uint64_t r = descent.random;
  return variadic(&descent, r, r, r, r, r, r, r, r, r, 2.5);
}

struct Large {
  uint64_t words[40];
};

__attribute__((noinline)) Large returns_large(Descent& descent, Large large) {
  large.words[3] += descend(descent);
  return large;
}

__attribute__((noinline)) uint64_t by_value(Descent& descent) {
  Large large{};
  large.words[3] = descent.random;
  return returns_large(descent, large).words[3];
}

// Vectors that are spilled across the call: frames aligned to 32 bytes and more, and vzeroupper.
#if defined(__x86_64__)
using Vector __attribute__((vector_size(32))) = double;

__attribute__((noinline, target("avx2"))) uint64_t with_vectors(Descent& descent) {
  Vector a{1, 2, 3, 4}, b{5, 6, 7, 8};
  __asm__ volatile("" : "+x"(a), "+x"(b));
  const uint64_t result = descend(descent);
  const Vector c = a * b;
  return result + static_cast<uint64_t>(c[1]);
}

__attribute__((noinline)) uint64_t vectors(Descent& descent) {
  return __builtin_cpu_supports("avx2") ? with_vectors(descent) : small_frame(descent);
}
#endif

// The call is the function's last instruction, so that its return address lies behind the function.
__attribute__((noinline, noreturn)) void never_returns(Descent& descent, jmp_buf& back) {
  allocate(descent.random);
  longjmp(back, 1);
}

__attribute__((noinline)) void ends_in_a_call(Descent& descent, jmp_buf& back) {
  allocate(1);
  never_returns(descent, back);
}

__attribute__((noinline)) uint64_t jumps_back(Descent& descent) {
  jmp_buf back;
  if (setjmp(back) == 0) ends_in_a_call(descent, back);
  return descend(descent) + 1;
}

uint64_t recurse(Descent& descent, unsigned times) {
  if (times == 0) return descend(descent);
  return recurse(descent, times - 1) + times;
}

__attribute__((noinline)) uint64_t recursion(Descent& descent) { return recurse(descent, descent.next(30)); }

const Step kSteps[] = {small_frame,
                       tail_call,
                       sized_frame<24>,
                       sized_frame<5000>,
                       sized_frame<40000>,
                       sized_frame<33>,
                       sized_frame<120>,
                       variable_frame,
                       growing_frame,
                       aligned_frame<32>,
                       aligned_frame<64>,
                       aligned_frame<256>,
                       many_arguments,
                       by_value,
                       aligned_variable_frame,
                       many_aligned_arguments,
                       realigned_frame,
                       all_registers,
                       late_frame,
                       calls_variadic,
                       jumps_back,
                       recursion,
#if defined(__x86_64__)
                       vectors
#endif
};

}  // namespace

const Steps kFrameSteps{kSteps, sizeof kSteps / sizeof *kSteps};
