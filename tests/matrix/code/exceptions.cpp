// SPDX-License-Identifier: Apache-2.0
//
// C++ exceptions: through 100 frames that each own a block, out of C callbacks, rethrown and caught again, nested,
// thrown in a destructor's neighbourhood, carried to other threads and thrown there again (exception_ptr), and out of
// operator new itself, whose frames are the recorder's: bad_alloc, and what a new_handler throws.
//
// Expected: the same catches in the same order; no exception object and no block is left.
#include <search.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "truth.h"

namespace {

constexpr int kDepth = 100, kTimes = 50, kThreads = 3;
constexpr size_t kBytes = 1800;
unsigned long caught;

struct Large {  // An exception object that is sampled often, too.
  int number;
  char more[3000];
};

__attribute__((noinline)) void* allocates_on_the_way() { return escape(malloc(kBytes)); }

struct Free {
  void operator()(void* block) const { free(block); }
};
using Block = std::unique_ptr<void, Free>;

__attribute__((noinline)) void throws_at(int depth, int number) {
  const Block block(allocates_on_the_way());
  if (depth == 0) throw Large{number, {}};
  throws_at(depth - 1, number);
  escape(block.get());
}

__attribute__((noinline)) void rethrows(int times, int number) {
  if (times == 0) throws_at(kDepth, number);
  try {
    rethrows(times - 1, number);
  } catch (const Large&) {
    ++caught;
    throw;
  }
}

int compare_throws(const void* a, const void*) { throw Large{*static_cast<const int*>(a), {}}; }

__attribute__((noinline)) void throws_through_c(int number) {
  int values[] = {1, 2, 3};
  size_t count = 3;
  lfind(&number, values, &count, sizeof *values, compare_throws);
}

__attribute__((noinline)) void nests(int number) {
  try {
    throws_at(3, number);
  } catch (const Large& outer) {
    try {
      std::throw_with_nested(
          std::runtime_error("with a string that is longer than any short one " + std::to_string(outer.number)));
    } catch (const std::exception& inner) {
      ++caught;
      std::rethrow_if_nested(inner);
    }
  }
}

template <typename Exception, typename Call>
int caught_from(Call call) {
  try {
    call();
  } catch (const Exception& exception) {
    ++caught;
    if constexpr (std::is_same_v<Exception, Large>) return exception.number;
    return 0;
  }
  return -1;
}

void in_other_threads(int number) {
  std::exception_ptr carried;
  try {
    throws_at(kDepth, number);
  } catch (...) {
    carried = std::current_exception();
  }
  unsigned long seen[kThreads] = {};
  std::thread threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    threads[i] = std::thread([carried, &seen, i] {
      try {
        std::rethrow_exception(carried);
      } catch (const Large& large) {
        seen[i] = static_cast<unsigned long>(large.number);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const unsigned long one : seen) printf("%lu ", one);
}

size_t too_much() { return reinterpret_cast<size_t>(escape(reinterpret_cast<void*>(PTRDIFF_MAX - 64))); }

__attribute__((noinline)) void operator_new_throws(bool aligned) {
  const Block block(allocates_on_the_way());
  void* huge = aligned ? operator new (too_much(), std::align_val_t{128}) : operator new(too_much());
  escape(huge);
}

}  // namespace

int main() {
  for (int i = 0; i < kTimes; ++i) {
    printf("%d ", caught_from<Large>([=] { throws_at(kDepth, i); }));
    printf("%d ", caught_from<Large>([=] { rethrows(10, i); }));
    printf("%d ", caught_from<Large>([=] { throws_through_c(i); }));
    printf("%d ", caught_from<Large>([=] { nests(i); }));
    printf("%d ", caught_from<std::bad_alloc>([] { operator_new_throws(false); }));
    printf("%d ", caught_from<std::bad_alloc>([] { operator_new_throws(true); }));
    in_other_threads(i);
    std::set_new_handler([] { throw Large{7, {}}; });
    printf("%d\n", caught_from<Large>([] { operator_new_throws(false); }));
    std::set_new_handler(nullptr);
  }
  printf("%lu caught\n", caught);
  const unsigned long blocks = kTimes * (3ul * (kDepth + 1) + 4 + 3);
  truth_site("allocates_on_the_way", blocks, blocks * kBytes, 0, 0);
  return 0;
}
