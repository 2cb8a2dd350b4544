// SPDX-License-Identifier: Apache-2.0
//
// Exceptions: allocations where they are made, in destructors while they pass, in handlers, and further down from
// there.
#include <exception>
#include <stdexcept>
#include <string>

#include "stacks.h"

namespace {

struct AllocatesWhenDestroyed {
  uint64_t number;
  ~AllocatesWhenDestroyed() { allocate(number); }
};

// A few functions further down, something is thrown.
uint64_t descend_to_throw(Descent& descent) {
  Descent other = descent;
  other.depth = static_cast<int>(descent.next(5));
  other.may_throw = true;
  other.random ^= 0x1234567;
  return descend(other);
}

__attribute__((noinline)) uint64_t caught_here(Descent& descent) {
  uint64_t result = 0;
  try {
    const AllocatesWhenDestroyed guard{descent.random};
    result = descend_to_throw(descent);
  } catch (uint64_t number) {
    allocate(number);
    result = number;
  }
  return result + descend(descent);
}

// Handlers may go on, with the exception in hand.
__attribute__((noinline)) uint64_t goes_on_in_handler(Descent& descent) {
  try {
    return descend_to_throw(descent);
  } catch (...) {
    Descent& same = descent;
    const bool may_throw = same.may_throw;
    same.may_throw = false;
    const uint64_t result = descend(same);
    same.may_throw = may_throw;
    return result;
  }
}

__attribute__((noinline)) void throws_text(Descent& descent) {
  const AllocatesWhenDestroyed guard{1};
  throw std::runtime_error(std::string(100, 'x') + std::to_string(descent.random));
}

__attribute__((noinline)) void throws_again(Descent& descent) {
  try {
    throws_text(descent);
  } catch (const std::exception& error) {
    allocate(std::string(error.what()).size());
    throw;
  }
}

__attribute__((noinline)) uint64_t rethrown(Descent& descent) {
  try {
    throws_again(descent);
  } catch (const std::runtime_error& error) {
    allocate(2);
  }
  return descend(descent);
}

__attribute__((noinline)) uint64_t nested(Descent& descent) {
  try {
    try {
      throws_text(descent);
    } catch (...) {
      std::throw_with_nested(std::logic_error("outer"));
    }
  } catch (const std::exception& error) {
    try {
      std::rethrow_if_nested(error);
    } catch (const std::exception&) {
      allocate(3);
    }
  }
  return descend(descent);
}

__attribute__((noinline)) uint64_t kept(Descent& descent) {
  std::exception_ptr pointer;
  try {
    throws_text(descent);
  } catch (...) {
    pointer = std::current_exception();
  }
  const uint64_t result = descend(descent);
  try {
    std::rethrow_exception(pointer);
  } catch (const std::exception&) {
    allocate(4);
  }
  return result;
}

// A destructor that throws and catches while another exception passes.
struct ThrowsWithin {
  Descent& descent;
  ~ThrowsWithin() {
    try {
      throws_text(descent);
    } catch (const std::exception&) {
      allocate(5);
    }
  }
};

__attribute__((noinline)) uint64_t in_passing(Descent& descent) {
  try {
    const ThrowsWithin guard{descent};
    throws_text(descent);
  } catch (const std::exception&) {
    allocate(6);
  }
  return descend(descent);
}

// Through code of libc's.
__attribute__((noinline)) uint64_t through_qsort(Descent& descent) {
  int numbers[] = {3, 1, 2};
  try {
    qsort(numbers, 3, sizeof *numbers, [](const void*, const void*) -> int {
      allocate(7);
      throw std::out_of_range("from qsort");
    });
  } catch (const std::out_of_range&) {
    allocate(8);
  }
  return descend(descent);
}

struct Constructed {
  explicit Constructed(Descent& descent) try : first{1} {
    if (descent.next(2) == 0) throws_text(descent);
  } catch (const std::exception&) {
    allocate(9);
  }
  AllocatesWhenDestroyed first;
};

__attribute__((noinline)) uint64_t in_constructor(Descent& descent) {
  try {
    const Constructed object(descent);
    return descend(descent) + object.first.number;
  } catch (const std::runtime_error&) {
    allocate(10);
  }
  return 1;
}

const Step kSteps[] = {caught_here, goes_on_in_handler, rethrown,      nested,
                       kept,        in_passing,         through_qsort, in_constructor};

}  // namespace

const Steps kExceptionSteps{kSteps, sizeof kSteps / sizeof *kSteps};
