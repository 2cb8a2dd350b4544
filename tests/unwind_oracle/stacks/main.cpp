// SPDX-License-Identifier: Apache-2.0
//
// stacks SEED COUNT [misread]: so many descents; see stacks.h. Prints how many there were. `misread`: also through what
// libunwind misreads.
#include <cstdio>
#include <cstring>

#include "stacks.h"

namespace {

// What is thrown may pass the first three; the others stand on code that no exception may leave.
const Steps* const kAll[] = {&kFrameSteps,  &kFrameSteps, &kExceptionSteps, &kCallbackSteps,
                             &kSignalSteps, &kStackSteps, &kRuleSteps,      &kMisreadRuleSteps};
constexpr uint32_t kMayThrowCount = 3;
uint32_t all_count = 7;

struct Guard {
  explicit Guard(uint64_t number) : number_(number) { allocate(number_); }
  ~Guard() { allocate(number_ + 1); }
  uint64_t number_;
};

// Before main and after it.
const Guard of_the_program(7);

}  // namespace

void allocate(uint64_t number) {
  void* volatile block = malloc(16 + number % 64);
  free(block);
}

uint64_t descend(Descent& descent) {
  if (descent.depth-- <= 0) {
    allocate(descent.random);
    if (descent.may_throw) throw descent.random;
    return descent.random;
  }
  if (descent.next(8) == 0) allocate(descent.random);
  const Steps& steps = *kAll[descent.next(descent.may_throw ? kMayThrowCount : all_count)];
  const uint64_t result = steps.steps[descent.next(steps.count)](descent);
  if (descent.next(8) == 0) allocate(result);
  return result + 1;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  if (argc == 4 && strcmp(argv[3], "misread") == 0) all_count = sizeof kAll / sizeof *kAll;
  Descent descent{};
  descent.random = strtoull(argv[1], nullptr, 10);
  const unsigned long count = strtoul(argv[2], nullptr, 10);
  for (unsigned long i = 0; i < count; ++i) {
    descent.depth = static_cast<int>(1 + descent.next(i % 64 == 63 ? 400 : 24));
    descent.may_throw = false;
    descent.threads = 0;
    allocate(descend(descent));
  }
  printf("%lu descents\n", count);
  return 0;
}
