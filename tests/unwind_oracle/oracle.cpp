// SPDX-License-Identifier: Apache-2.0
//
// The comparison; see oracle.h.
#include "oracle.h"

#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <cstring>

#include "chain.h"
#include "libunwind_walker.h"
#include "preload/keep_errno.h"
#include "preload/loaded_modules.h"
#include "preload/private_memory.h"
#include "preload/unwind/unwinder.h"
#include "record/system.h"
#include "results.h"
#include "single_steps.h"
#include "stack_set.h"

namespace seep {
namespace {

constexpr uint32_t kMostFrames = 8192;
constexpr unsigned kRowsLog2 = 16;
constexpr uint64_t kMostWritten = 100;  // Differences; all are counted.
constexpr int kStopSignal = 64;

struct Settings {
  char directory[3500];
  uint64_t every, most, step_every, steps, stop_every, lie;
};

// What a comparison needs beside the stack, which may be small.
struct Scratch {
  std::atomic<bool> in_use;
  WalkScratch walk;
  ReadablePages pages;
  uintptr_t ours[kMostFrames], fresh[kMostFrames], theirs[kMostFrames];
  char text[1 << 18];
};

constexpr unsigned kScratches = 16;

constinit Settings settings{};
constinit Counts counts{};
constinit std::atomic<uint64_t> written{0};
constinit std::atomic<uint64_t> process{0};  // 0: not comparing.
constinit PrivateMemory memory;
constinit LoadedModules modules(memory);
constinit RowCache rows, no_rows;
constinit Unwinder unwinder(modules, rows), fresh_unwinder(modules, no_rows);
constinit LibunwindWalker libunwind;
constinit StackSet seen;
constinit Scratch* scratches = nullptr;

struct OfThread {
  ThreadState state;
  bool compares;
};
constinit thread_local OfThread of_thread{};

void add_one(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

bool is_own_process() { return static_cast<uint64_t>(sys::process_id()) == process.load(std::memory_order_relaxed); }

Scratch* acquire_scratch() {
  for (unsigned i = 0; i < kScratches; ++i) {
    if (!scratches[i].in_use.exchange(true, std::memory_order_acquire)) return &scratches[i];
  }
  return nullptr;
}

// ---- One comparison.

void differ(const char* who, const Chain& ours, const Chain& theirs, Scratch& scratch) {
  if (written.fetch_add(1, std::memory_order_relaxed) < kMostWritten) {
    write_difference(settings.directory, process.load(std::memory_order_relaxed), ours, who, theirs, scratch.text,
                     sizeof scratch.text);
  }
}

// Whether one of these frames has a rule that libunwind misreads (oracle.h).
bool is_misread(const uintptr_t* pcs, uint32_t count, WalkScratch& walk) {
  for (uint32_t i = 0; i < count; ++i) {
    ModuleTables tables;
    bool signal_frame;
    if (!LoadedModules::find_tables(pcs[i], tables)) continue;
    if (find_row(pcs[i], tables, walk.cfi, walk.row, signal_frame) != RowResult::kFound) continue;
    for (const RegisterRule& rule : walk.row.rules) {
      if (rule.kind == RegisterRule::kRegister || rule.kind == RegisterRule::kIsOffset) return true;
    }
  }
  return false;
}

// gdb finds the chain by r8, in the kernel's view an argument too many. It hears of a signal when that is delivered.
void stop_for_gdb(const Chain& chain) {
  add_one(counts.stops);
  const uint64_t stop = uint64_t{1} << (kStopSignal - 1);
  uint64_t before = 0;
  system_call(SYS_rt_sigprocmask, SIG_UNBLOCK, sys::as_long(&stop), sys::as_long(&before), sizeof before);
  system_call(SYS_tgkill, static_cast<long>(process.load(std::memory_order_relaxed)), system_call(SYS_gettid),
              kStopSignal, 0, sys::as_long(&chain));
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, sys::as_long(&before), 0, sizeof before);
}

void count_stack(const Chain& chain, bool is_new) {
  add_one(counts.stacks);
  if (is_new) add_one(counts.distinct);
  counts.frames.fetch_add(chain.count, std::memory_order_relaxed);
  uint64_t longest = counts.longest.load(std::memory_order_relaxed);
  while (longest < chain.count && !counts.longest.compare_exchange_weak(longest, chain.count)) {
  }
  add_one(chain.cut == Cut::kWhole ? counts.whole : chain.cut == Cut::kDepthLimit ? counts.limited : counts.cut);
}

// Ours, from the tables and the row cache, and for a new stack from the tables alone. False: they differ.
bool walk_ours(const Registers& start, Scratch& scratch, Chain& ours, bool& is_new) {
  ThreadState& thread = of_thread.state;
  Registers registers = start;
  const Walk walk = unwinder.walk(registers, thread, scratch.walk, scratch.ours, kMostFrames);
  ours = {scratch.ours, walk.count, walk.cut};
  is_new = seen.add(hash_of(ours));
  if (!is_new) return true;
  registers = start;
  const Walk again = fresh_unwinder.walk(registers, thread, scratch.walk, scratch.fresh, kMostFrames);
  const Chain fresh{scratch.fresh, again.count, again.cut};
  if (are_same(ours, fresh) && ours.cut == fresh.cut) return true;
  differ("seep without its row cache", ours, fresh, scratch);
  return false;
}

// Whether seep finds the same registers in frame `index` of a chain.
bool has_registers(const Registers& start, Scratch& scratch, uint32_t index, const Registers& theirs) {
  Registers ours = start;
  (void)unwinder.walk(ours, of_thread.state, scratch.walk, scratch.fresh, index);  // Ends there, for its limit.
  const auto is_same = [&](unsigned number) {
    return ours.has(number) == theirs.has(number) && (!ours.has(number) || ours.value[number] == theirs.value[number]);
  };
  bool all_same = is_same(kDwarfStackPointer);
  for (const unsigned number : kPreservedRegisters) all_same = all_same && is_same(number);
  return all_same;
}

// libunwind's, beside ours; of a new stack the registers in one frame, too, whichever. False: they differ.
bool walk_theirs(const Registers& start, Scratch& scratch, const Chain& ours, bool is_new) {
  const uint32_t looked_at = static_cast<uint32_t>(hash_of(ours) % ours.count);
  Registers found;
  const LibunwindWalker::Result result =
      libunwind.walk(start, scratch.pages, scratch.theirs, kMostFrames, looked_at, found);
  const Chain theirs{scratch.theirs, result.count, result.cut};
  if (result.first_guess < result.count) add_one(counts.guessed);
  const bool same = are_same(ours, theirs);
  if (same && (!is_new || has_registers(start, scratch, looked_at, found))) return true;
  const uint32_t difference = first_difference(ours, theirs);
  if (!same && difference == kNoDifference && !result.ends_in_tables) {
    add_one(counts.ended_without_tables);
    return true;
  }
  const uint32_t common = same ? looked_at : difference < ours.count ? difference : ours.count;
  if (is_misread(ours.pcs, common, scratch.walk)) {
    add_one(counts.misread);
  } else {
    add_one(counts.differences);
    differ(same ? "libunwind, which has other registers in some frame" : "libunwind", ours, theirs, scratch);
  }
  return false;
}

void compare(const Registers& start, Scratch& scratch) {
  Chain ours{};
  bool is_new = false;
  const bool agree_with_themselves = walk_ours(start, scratch, ours, is_new);
  if (!agree_with_themselves) add_one(counts.differences);
  if (settings.lie != 0 && settings.lie <= ours.count) ++scratch.ours[settings.lie - 1];
  const bool agrees = walk_theirs(start, scratch, ours, is_new) && agree_with_themselves;
  count_stack(ours, is_new);
  if (settings.stop_every == 0) return;
  if (!agrees || (is_new && counts.distinct.load(std::memory_order_relaxed) % settings.stop_every == 0)) {
    stop_for_gdb(ours);
  }
}

// False: not now.
bool compare_once(const Registers& registers) {
  if (counts.stacks.load(std::memory_order_relaxed) >= settings.most) return false;
  if (!is_own_process()) return false;
  Scratch* scratch = acquire_scratch();
  if (scratch == nullptr) {
    add_one(counts.nested);
    return false;
  }
  of_thread.compares = true;
  compare(registers, *scratch);
  of_thread.compares = false;
  scratch->in_use.store(false, std::memory_order_release);
  return true;
}

// After an instruction of a program that runs in single steps.
bool compare_at_step() {
  if (!is_own_process()) return false;
  if (of_thread.compares) return true;
  Registers registers;
  capture_registers(registers);
  if (compare_once(registers)) add_one(counts.stepped);
  return true;
}

// ---- Start and end.

uint64_t number_of(const char* name, uint64_t otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : strtoull(value, nullptr, 10);
}

// Where the kernel laid the arguments: field 28 of /proc/self/stat (proc(5)).
uintptr_t read_stack_start() {
  char text[1024];
  const long fd = sys::open("/proc/self/stat", O_RDONLY);
  if (sys::failed(fd)) return 0;
  const long bytes = sys::read_all(fd, text, sizeof text - 1);
  sys::close(fd);
  if (bytes <= 0) return 0;
  text[bytes] = '\0';
  const char* at = strrchr(text, ')');
  for (unsigned field = 2; at != nullptr && field < 28; ++field) at = strchr(at + 1, ' ');
  return at == nullptr ? 0 : strtoull(at, nullptr, 10);
}

bool read_settings() {
  const char* directory = getenv("UNWIND_ORACLE");
  if (directory == nullptr || strlen(directory) >= sizeof settings.directory) return false;
  strcpy(settings.directory, directory);
  settings.every = number_of("UNWIND_ORACLE_EVERY", 1);
  settings.most = number_of("UNWIND_ORACLE_MOST", UINT64_MAX);
  settings.step_every = number_of("UNWIND_ORACLE_STEP", 0);
  settings.steps = number_of("UNWIND_ORACLE_STEPS", 0);
  settings.stop_every = number_of("UNWIND_ORACLE_STOP", 0);
  settings.lie = number_of("UNWIND_ORACLE_LIE", 0);
  return settings.every != 0;
}

__attribute__((constructor)) void start() {
  if (!read_settings() || !libunwind.start() || !seen.start()) return;
  scratches = static_cast<Scratch*>(memory.take(sizeof(Scratch) * kScratches));
  if (scratches == nullptr) return;
  rows.start(memory, kRowsLog2, kRowsLog2);
  process_stack_start = read_stack_start();
  if (settings.step_every != 0) catch_traps(compare_at_step);
  process.store(static_cast<uint64_t>(sys::process_id()), std::memory_order_release);
}

__attribute__((destructor)) void finish() {
  if (process.load(std::memory_order_relaxed) == 0 || !is_own_process()) return;
  write_counts(counts, settings.directory, process.exchange(0));
}

}  // namespace

bool compare_from(const Registers& registers) noexcept {
  if (process.load(std::memory_order_acquire) == 0) return false;
  if (of_thread.compares || is_stepping()) return false;
  const uint64_t call = counts.calls.fetch_add(1, std::memory_order_relaxed);
  if (call % settings.every != 0) return false;
  const KeepErrno keep_errno;
  if (!compare_once(registers)) return false;
  const uint64_t stacks = counts.stacks.load(std::memory_order_relaxed);
  return settings.step_every != 0 && stacks % settings.step_every == 0 && prepare_steps(settings.steps);
}

void forget_loaded_code() noexcept {
  if (modules.next_generation() % RowCache::kGenerations == 0) rows.clear();
}

}  // namespace seep
