// SPDX-License-Identifier: Apache-2.0
//
// Ways through other code and back: libc's callbacks, the standard library's templates, virtual calls, the loader.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <link.h>
#include <search.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "stacks.h"

namespace {

// Callbacks without an argument of their own find the descent here; who reads it takes it. `result` is what it led to.
thread_local Descent* handed_over = nullptr;
thread_local uint64_t result_back = 0;

void go_on_once() {
  Descent* descent = handed_over;
  handed_over = nullptr;
  if (descent != nullptr) result_back = descend(*descent);
}

int compare_numbers(const void* a, const void* b) {
  go_on_once();
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

int compare_with_argument(const void* a, const void* b, void*) { return compare_numbers(a, b); }

__attribute__((noinline)) uint64_t by_qsort(Descent& descent) {
  int numbers[] = {5, 3, 9, 1, 7, 2};
  handed_over = &descent;
  qsort(numbers, 6, sizeof *numbers, compare_numbers);
  return result_back + static_cast<uint64_t>(numbers[0]);
}

// So many that qsort takes memory for them.
__attribute__((noinline)) uint64_t by_large_qsort(Descent& descent) {
  int numbers[600];
  for (int i = 0; i < 600; ++i) numbers[i] = i * 7 % 600;
  handed_over = &descent;
  qsort_r(numbers, 600, sizeof *numbers, compare_with_argument, nullptr);
  return result_back;
}

__attribute__((noinline)) uint64_t by_bsearch(Descent& descent) {
  const int numbers[] = {1, 2, 3, 5, 7, 9};
  const int wanted = 7;
  handed_over = &descent;
  const void* found = bsearch(&wanted, numbers, 6, sizeof *numbers, compare_numbers);
  return result_back + (found != nullptr);
}

__attribute__((noinline)) uint64_t by_tsearch(Descent& descent) {
  static const int numbers[] = {4, 2, 6};
  void* tree = nullptr;
  for (const int& number : numbers) {
    handed_over = &number == &numbers[1] ? &descent : nullptr;
    tsearch(&number, &tree, compare_numbers);
  }
  tdestroy(tree, [](void*) { allocate(1); });
  return result_back;
}

int look_at_module(dl_phdr_info*, size_t, void* descent) {
  result_back = descend(*static_cast<Descent*>(descent));
  return 1;
}

__attribute__((noinline)) uint64_t by_dl_iterate_phdr(Descent& descent) {
  descent.threads = kMostThreads;  // Another one could not throw: it waits for the loader's lock then.
  dl_iterate_phdr(look_at_module, &descent);
  return result_back;
}

// A stream whose writes are ours: from the innards of vfprintf.
ssize_t write_stream(void* cookie, const char*, size_t bytes) {
  auto& descent = *static_cast<Descent**>(cookie);
  if (descent != nullptr) {
    Descent& own = *descent;
    descent = nullptr;
    result_back = descend(own);
  }
  return static_cast<ssize_t>(bytes);
}

__attribute__((noinline)) uint64_t by_fprintf(Descent& descent) {
  Descent* cookie = &descent;
  FILE* stream = fopencookie(&cookie, "w", {nullptr, write_stream, nullptr, nullptr});
  if (stream == nullptr) abort();
  setvbuf(stream, nullptr, _IONBF, 0);
  fprintf(stream, "%d %s %.3f\n", 12, "text", 3.25);
  const uint64_t result = result_back;
  fclose(stream);
  return result;
}

__attribute__((noinline)) uint64_t by_function(Descent& descent) {
  const uint64_t more = descent.random;
  const std::function<uint64_t(Descent&)> function = [more](Descent& further) { return descend(further) + more; };
  const std::function<uint64_t()> outer = [&] { return function(descent); };
  return outer();
}

struct Base {
  virtual ~Base() { allocate(3); }
  virtual uint64_t go_on(Descent& descent) = 0;
};
struct Other {
  virtual ~Other() = default;
  virtual uint64_t go_on_otherwise(Descent& descent) = 0;
  int number = 3;
};
// Of two bases: calls by the second one go through a thunk.
struct Derived final : Base, Other {
  uint64_t go_on(Descent& descent) override { return descend(descent) + 1; }
  uint64_t go_on_otherwise(Descent& descent) override { return descend(descent) + static_cast<uint64_t>(number); }
};

__attribute__((noinline)) uint64_t by_virtual_call(Descent& descent) {
  std::unique_ptr<Base> base = std::make_unique<Derived>();
  __asm__ volatile("" : "+m"(base));
  return base->go_on(descent);
}

__attribute__((noinline)) uint64_t by_thunk(Descent& descent) {
  std::unique_ptr<Other> other = std::make_unique<Derived>();
  __asm__ volatile("" : "+m"(other));
  return other->go_on_otherwise(descent);
}

__attribute__((noinline)) uint64_t by_sort(Descent& descent) {
  int numbers[40];
  for (int i = 0; i < 40; ++i) numbers[i] = i * 7 % 40;
  handed_over = &descent;
  std::sort(std::begin(numbers), std::end(numbers), [](int a, int b) {
    go_on_once();
    return a < b;
  });
  return result_back + static_cast<uint64_t>(numbers[0]);
}

struct Comparing {
  bool operator()(const std::string& a, const std::string& b) const {
    go_on_once();
    return a < b;
  }
};

__attribute__((noinline)) uint64_t by_map(Descent& descent) {
  std::map<std::string, int, Comparing> map;
  for (int i = 0; i < 6; ++i) {
    if (i == 5) handed_over = &descent;
    map[std::string(20 + static_cast<unsigned>(i), 'x')] = i;
  }
  return result_back + map.size();
}

struct GoesOnWhenDestroyed {
  Descent& descent;
  uint64_t& result;
  ~GoesOnWhenDestroyed() noexcept(false) { result = descend(descent); }
};

__attribute__((noinline)) uint64_t by_destructor(Descent& descent) {
  uint64_t result = 0;
  { const GoesOnWhenDestroyed last{descent, result}; }
  return result;
}

const Step kSteps[] = {by_qsort,           by_large_qsort, by_bsearch,  by_tsearch,
                       by_dl_iterate_phdr, by_fprintf,     by_function, by_virtual_call,
                       by_thunk,           by_sort,        by_map,      by_destructor};

}  // namespace

const Steps kCallbackSteps{kSteps, sizeof kSteps / sizeof *kSteps};
