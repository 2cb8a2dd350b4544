// SPDX-License-Identifier: Apache-2.0
//
// Ground truth for stack bounds: /proc/self/maps and pthread_getattr_np.
#include "preload/unwind/stack_memory.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <fstream>
#include <string>
#include <thread>

#include "processor/processor.h"

namespace seep {
namespace {

StackMemory here() {
  ThreadState thread{};
  char scratch[kStackScratchBytes];
  return find_stack(thread, stack_pointer(), scratch);
}

Mapping truth() {
  pthread_attr_t attributes;
  void* start;
  size_t bytes;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &start, &bytes);
  pthread_attr_destroy(&attributes);
  return {reinterpret_cast<uintptr_t>(start), reinterpret_cast<uintptr_t>(start) + bytes};
}

TEST(StackMemory, OfTheMainThreadEndsWhereItsMappingDoes) {
  std::ifstream maps("/proc/self/maps");
  uintptr_t end = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[stack]") != std::string::npos) end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
  }
  EXPECT_EQ(here().high, end);
}

TEST(StackMemory, OfAThreadEndsInsideItsStackAtTheThreadPointer) {
  std::thread([] {
    const StackMemory memory = here();
    EXPECT_LE(memory.high, truth().end);
    EXPECT_GT(memory.high, truth().end - 65536);
    EXPECT_EQ(memory.high, thread_pointer());
  }).join();
}

TEST(StackMemory, OfAFiberEndsWithTheFibersMapping) {
  static Mapping fiber;
  static StackMemory seen;
  static ucontext_t back, context;
  constexpr size_t kBytes = 256 << 10;
  void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void* fence =
      mmap(static_cast<char*>(stack) + kBytes / 2, 4096, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  fiber = {reinterpret_cast<uintptr_t>(stack), reinterpret_cast<uintptr_t>(fence)};
  getcontext(&context);
  context.uc_stack = {stack, 0, kBytes / 2};
  context.uc_link = &back;
  makecontext(
      &context, [] { seen = here(); }, 0);
  swapcontext(&back, &context);
  EXPECT_EQ(seen.high, fiber.end);
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

TEST(StackMemory, AnUnknownAddressHasNoMapping) {
  char scratch[kStackScratchBytes];
  EXPECT_EQ(find_mapping(8, scratch).end, 0u);
  EXPECT_EQ(find_mapping(~uintptr_t{0} - 4096 * 16, scratch).end, 0u);
}

}  // namespace
}  // namespace seep
