// SPDX-License-Identifier: Apache-2.0
//
// A program that builds stacks of every shape: each function here takes a descent further down by a way of its own, to
// a function that is drawn next, and allocates and frees at its ends. What is drawn follows from a seed, so that two
// runs build the same stacks.
#pragma once

#include <cstdint>
#include <cstdlib>

struct Descent {
  uint64_t random;
  int depth;         // Functions still to enter.
  bool may_throw;    // Within a try block that takes what the last function throws.
  unsigned threads;  // Begun so far, at most kMostThreads; or so many that none may be, since a lock is held.

  uint32_t next(uint32_t limit) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(random >> 33) % limit;
  }
};

inline constexpr unsigned kMostThreads = 2;

// A block that must be allocated, and is freed at once.
__attribute__((noinline)) void allocate(uint64_t number);

// Goes on by a function that is drawn; at the end of a descent allocates, and throws where it may. Each returns a value
// that depends on what is called, so that no call can be left out.
uint64_t descend(Descent& descent);

using Step = uint64_t (*)(Descent&);
struct Steps {
  const Step* steps;
  unsigned count;
};
extern const Steps kFrameSteps;        // Frames of every shape: frames.cpp.
extern const Steps kCallbackSteps;     // Through libc and libstdc++: callbacks.cpp.
extern const Steps kExceptionSteps;    // exceptions.cpp.
extern const Steps kSignalSteps;       // Signal handlers on both kinds of stack, and faults: signals.cpp.
extern const Steps kStackSteps;        // Threads and fibers: stacks.cpp.
extern const Steps kRuleSteps;         // Unwind tables as compilers do not write them: rules.S.
extern const Steps kMisreadRuleSteps;  // The same, as libunwind 1.6.2 misreads them.

// Goes on in a handler of SIGILL, which `code` raises by an instruction of two bytes.
uint64_t descend_in_fault(Descent& descent, void (*code)());
