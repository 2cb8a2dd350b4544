// SPDX-License-Identifier: Apache-2.0
//
// Our walk against libunwind's plain stepping, frame by frame, from the same function: recursion, callbacks through
// libc, libstdc++ and the PLT, signal handlers on both kinds of stack, threads, exceptions. Compiled with several
// options.
#define UNW_LOCAL_ONLY
#include "preload/unwind/unwinder.h"

#include <gtest/gtest.h>
#include <libunwind.h>
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace seep {
namespace {

PrivateMemory memory;
LoadedModules modules(memory);
RowCache rows;
Unwinder unwinder(modules, rows);
WalkScratch scratch;
unsigned compared = 0;

constexpr unsigned kMost = 512;

// The pcs of all callers of this function's caller, by both; the same address inside the calling instruction.
__attribute__((noinline)) void compare_here() {
  uintptr_t ours[kMost];
  Registers registers;
  capture_registers(registers);
  static thread_local ThreadState thread{};
  const Walk walk = unwinder.walk(registers, thread, scratch, ours, kMost);

  unw_context_t context;
  unw_cursor_t cursor;
  unw_getcontext(&context);
  unw_init_local(&cursor, &context);
  std::vector<uintptr_t> theirs;
  do {
    unw_word_t pc = 0;
    unw_get_reg(&cursor, UNW_REG_IP, &pc);
    if (pc == 0) break;  // libunwind steps once more behind the outermost frame of some threads.
    const bool interrupted = unw_is_signal_frame(&cursor) > 0;  // By a signal: then the pc is no return address.
    theirs.push_back(pc - (interrupted ? 0 : 1));
  } while (theirs.size() < kMost && unw_step(&cursor) > 0);
  ASSERT_GE(walk.count, 3u);
  EXPECT_EQ(walk.cut, Cut::kWhole);
  // The innermost pcs lie in this function, at two places.
  EXPECT_EQ(std::vector<uintptr_t>(ours + 1, ours + walk.count),
            std::vector<uintptr_t>(theirs.begin() + 1, theirs.end()));
  ++compared;
}

class UnwinderTest : public testing::Test {
 protected:
  // Cold and then warm: from the tables, and from the row cache.
  static void SetUpTestSuite() { rows.start(memory, 14, 14); }
  static void twice(const std::function<void()>& call) {
    rows.clear();
    call();
    call();
    EXPECT_GE(compared, 2u);
    compared = 0;
  }
};

__attribute__((noinline)) int recurse(int depth) {
  volatile char padding[100];
  padding[depth % 100] = static_cast<char>(depth);
  if (depth == 0) {
    compare_here();
    return 1;
  }
  return recurse(depth - 1) + padding[depth % 100];
}

TEST_F(UnwinderTest, Recursion) {
  twice([] { recurse(200); });
}

__attribute__((noinline)) void variable_frame(size_t bytes) {
  volatile char* space = static_cast<char*>(__builtin_alloca(bytes));
  space[0] = 1;
  compare_here();
  space[bytes - 1] = 2;
}

TEST_F(UnwinderTest, FramesOfVariableSize) {
  twice([] {
    variable_frame(17);
    variable_frame(5000);
  });
}

__attribute__((noinline)) void aligned_frame() {
  alignas(64) volatile char space[256];
  space[0] = 1;
  compare_here();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(space) % 64 + static_cast<uintptr_t>(space[0]), 1u);
}

TEST_F(UnwinderTest, RealignedStacks) {
  twice([] { aligned_frame(); });
}

int compare_and_order(const void* a, const void* b) {
  compare_here();
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}

TEST_F(UnwinderTest, CallbacksFromLibc) {
  twice([] {
    int values[] = {3, 1, 2};
    qsort(values, 3, sizeof values[0], compare_and_order);
  });
}

struct Comparing {
  bool operator()(const std::string& a, const std::string& b) const {
    compare_here();
    return a < b;
  }
};

TEST_F(UnwinderTest, TemplatesOfTheStandardLibrary) {
  twice([] {
    std::map<std::string, int, Comparing> map;
    for (int i = 0; i < 10; ++i) map[std::to_string(i)] = i;
    std::vector<int> values(40, 1);
    std::sort(values.begin(), values.end(), [](int a, int b) {
      compare_here();
      return a < b;
    });
  });
}

TEST_F(UnwinderTest, InACatchBlockAndWhileAnExceptionPasses) {
  struct ComparesWhenDestroyed {
    ~ComparesWhenDestroyed() { compare_here(); }
  };
  twice([] {
    try {
      ComparesWhenDestroyed guard;
      recurse(3);
      throw std::runtime_error("x");
    } catch (const std::exception&) {
      compare_here();
    }
  });
}

TEST_F(UnwinderTest, Threads) {
  twice([] { std::thread([] { recurse(20); }).join(); });
}

void handle(int) { compare_here(); }

TEST_F(UnwinderTest, SignalHandlers) {
  signal(SIGUSR1, handle);
  twice([] { raise(SIGUSR1); });
  signal(SIGUSR1, SIG_DFL);
}

TEST_F(UnwinderTest, SignalHandlersOnAnAlternateStack) {
  constexpr size_t kBytes = 256 << 10;
  void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const stack_t alternate{stack, 0, kBytes};
  stack_t old;
  ASSERT_EQ(sigaltstack(&alternate, &old), 0);
  struct sigaction action {};
  action.sa_handler = handle;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  twice([] { raise(SIGUSR1); });
  signal(SIGUSR1, SIG_DFL);
  sigaltstack(&old, nullptr);
  munmap(stack, kBytes);
}

TEST(UnwinderLimits, StopsAtTheDepthLimitAndSaysSo) {
  uintptr_t pcs[3];
  Registers registers;
  capture_registers(registers);
  ThreadState thread{};
  const Walk walk = unwinder.walk(registers, thread, scratch, pcs, 3);
  EXPECT_EQ(walk.count, 3u);
  EXPECT_EQ(walk.cut, Cut::kDepthLimit);
}

TEST(UnwinderLimits, GarbageRegistersCutTheTraceAndHarmNothing) {
  uintptr_t pcs[8];
  ThreadState thread{};
  for (const uintptr_t sp : {uintptr_t{0}, uintptr_t{8}, ~uintptr_t{7}, reinterpret_cast<uintptr_t>(&rows)}) {
    Registers registers;
    capture_registers(registers);
    registers.set(kDwarfStackPointer, sp);
    registers.set(kDwarfFramePointer, sp + 1);
    registers.set(kDwarfReturnAddress, 0x1234);
    const Walk walk = unwinder.walk(registers, thread, scratch, pcs, 8);
    EXPECT_EQ(walk.count, 1u);
    EXPECT_EQ(walk.cut, Cut::kNoUnwindInformation);
  }
}

// From code without tables by the frame pointer: to a frame nearby, and not to one so far up that it is another
// stack's.
TEST(UnwinderLimits, AFramePointerIsNotBelievedFarAway) {
  uint64_t space[3 * 4096] = {};
  uintptr_t pcs[8];
  ThreadState thread{};
  for (const bool is_far : {false, true}) {
    uint64_t* frame = space + (is_far ? 2 * 4096 : 16);
    frame[1] = reinterpret_cast<uintptr_t>(&recurse) + 1;
    Registers registers;
    capture_registers(registers);
    registers.set(kDwarfStackPointer, reinterpret_cast<uintptr_t>(space));
    registers.set(kDwarfFramePointer, reinterpret_cast<uintptr_t>(frame));
    registers.set(kDwarfReturnAddress, 0x1234);
    const Walk walk = unwinder.walk(registers, thread, scratch, pcs, 8);
    if (is_far) {
      EXPECT_EQ(walk.count, 1u);
      EXPECT_EQ(walk.cut, Cut::kNoUnwindInformation);
    } else {
      ASSERT_GE(walk.count, 2u);
      EXPECT_EQ(pcs[1], reinterpret_cast<uintptr_t>(&recurse));
    }
  }
}

}  // namespace
}  // namespace seep
