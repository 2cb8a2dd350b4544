// SPDX-License-Identifier: Apache-2.0
//
// Ground truth for stack bounds: /proc/self/maps and pthread_getattr_np.
#include "preload/unwind/stack_memory.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "processor/processor.h"

namespace seep {
namespace {

StackMemory here() {
  ThreadState thread{};
  return find_stack(thread, stack_pointer());
}

struct Mapping {
  uintptr_t start, end;
};

Mapping truth() {
  pthread_attr_t attributes;
  void* start;
  size_t bytes;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &start, &bytes);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<uintptr_t>(start), reinterpret_cast<uintptr_t>(start) + bytes};
}

// proc(5): field 28 of stat is where the kernel laid the arguments, above all frames.
uintptr_t startstack() {
  std::ifstream stat("/proc/self/stat");
  std::string text;
  std::getline(stat, text);
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int number = 3; number <= 28; ++number) fields >> field;
  return std::stoull(field);
}

TEST(StackMemory, OfTheMainThreadEndsWhereItsArgumentsBegin) {
  process_stack_start = startstack();
  const StackMemory memory = here();
  EXPECT_EQ(memory.high, startstack());
  EXPECT_FALSE(memory.is_guess);
  process_stack_start = 0;
}

TEST(StackMemory, OfTheMainThreadIsLookedAtPageByPageWhereItsStartIsNotKnown) {
  const StackMemory memory = here();
  EXPECT_TRUE(memory.is_guess);
  uint64_t value;
  EXPECT_TRUE(memory.read((stack_pointer() + 7) & ~uintptr_t{7}, value));
}

TEST(StackMemory, OfAThreadEndsInsideItsStackAtTheThreadPointer) {
  std::thread([] {
    const StackMemory memory = here();
    EXPECT_LE(memory.high, truth().end);
    EXPECT_GT(memory.high, truth().end - 65536);
    EXPECT_EQ(memory.high, thread_pointer());
  }).join();
}

TEST(StackMemory, OfAFiberIsReadUpToTheFirstPageThatCannotBe) {
  static uintptr_t fence_start;
  static bool below, above;
  static ucontext_t back, context;
  constexpr size_t kBytes = 256 << 10;
  void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* fence =
      mmap(static_cast<char*>(stack) + kBytes / 2, 4096, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  fence_start = reinterpret_cast<uintptr_t>(fence);
  getcontext(&context);
  context.uc_stack = {stack, 0, kBytes / 2};
  context.uc_link = &back;
  makecontext(
      &context,
      [] {
        const StackMemory memory = here();
        uint64_t value;
        below = memory.read(fence_start - 8, value);
        above = memory.read(fence_start, value) || memory.read(fence_start - 4, value);
      },
      0);
  swapcontext(&back, &context);
  EXPECT_TRUE(below);
  EXPECT_FALSE(above);
  munmap(stack, kBytes);
}

// A helper that has just been made has pushed nothing: its stack pointer is the first address that is not its own.
TEST(StackMemory, OfAnEmptyStackNothingIsRead) {
  constexpr size_t kBytes = 64 << 10;
  void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const uintptr_t end = reinterpret_cast<uintptr_t>(stack) + kBytes / 2;
  ASSERT_EQ(mprotect(reinterpret_cast<void*>(end), kBytes / 2, PROT_NONE), 0);
  ThreadState thread{};
  const StackMemory memory = find_stack(thread, end);
  uint64_t value;
  EXPECT_FALSE(memory.read(end, value));
  EXPECT_FALSE(memory.read(end + 0x48, value));
  munmap(stack, kBytes);
}

TEST(StackMemory, ReadsInsideAndRefusesOutside) {
  uint64_t words[3] = {1, 2, 3}, value = 0;
  const StackMemory memory{reinterpret_cast<uintptr_t>(words), reinterpret_cast<uintptr_t>(words + 3)};
  EXPECT_TRUE(memory.read(reinterpret_cast<uintptr_t>(words + 2), value));
  EXPECT_EQ(value, 3u);
  EXPECT_FALSE(memory.read(reinterpret_cast<uintptr_t>(words + 2) + 1, value));
  EXPECT_FALSE(memory.read(reinterpret_cast<uintptr_t>(words) - 1, value));
  EXPECT_FALSE(memory.read(~uintptr_t{3}, value));
}

}  // namespace
}  // namespace seep
