// SPDX-License-Identifier: Apache-2.0
#include "preload/unwind/row_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

namespace seep {
namespace {

UnwindRow plain_row(int64_t cfa_offset) {
  UnwindRow row;
  memset(static_cast<void*>(&row), 0, sizeof row);
  row.cfa_register = kDwarfStackPointer;
  row.cfa_offset = cfa_offset;
  row.rules[kDwarfReturnAddress].kind = RegisterRule::kAtOffset;
  row.rules[kDwarfReturnAddress].offset = -8;
  return row;
}

TEST(PackRow, KeepsCfaAndSlots) {
  UnwindRow row = plain_row(4096);
  row.rules[kDwarfFramePointer].kind = RegisterRule::kAtOffset;
  row.rules[kDwarfFramePointer].offset = -16;
  row.rules[15].kind = RegisterRule::kAtOffset;
  row.rules[15].offset = -248;
  const PackedRow packed = pack_row(row, false);
  EXPECT_EQ(packed_kind(packed), PackedKind::kStackPointer);
  EXPECT_EQ(packed_cfa_offset(packed), 4096u);
  EXPECT_EQ(packed_slot(packed, 0), 0u);
  EXPECT_EQ(packed_slot(packed, 1), 2u);
  EXPECT_EQ(packed_slot(packed, 5), 31u);
}

TEST(PackRow, RefusesWhatItCannotSay) {
  EXPECT_EQ(pack_row(plain_row(8), true), 0u);  // A signal frame.
  EXPECT_EQ(pack_row(plain_row(12), false), 0u);
  EXPECT_EQ(pack_row(plain_row(int64_t{8} << 24), false), 0u);
  UnwindRow row = plain_row(8);
  row.cfa_register = 10;
  EXPECT_EQ(pack_row(row, false), 0u);
  row = plain_row(8);
  row.rules[3].kind = RegisterRule::kAtExpression;
  EXPECT_EQ(pack_row(row, false), 0u);
  row = plain_row(8);
  row.rules[3].kind = RegisterRule::kAtOffset;
  row.rules[3].offset = -256;
  EXPECT_EQ(pack_row(row, false), 0u);
  row = plain_row(8);
  row.rules[kDwarfReturnAddress].kind = RegisterRule::kUndefined;
  EXPECT_EQ(packed_kind(pack_row(row, false)), PackedKind::kOutermost);
}

TEST(RowCache, FindsARowForItsPcAndGenerationOnly) {
  PrivateMemory memory;
  RowCache cache;
  EXPECT_EQ(cache.find(0x1000, 1), 0u);  // Not started.
  cache.start(memory, 8, 8);
  cache.insert(0x1000, 1, 99);
  EXPECT_EQ(cache.find(0x1000, 1), 99u);
  EXPECT_EQ(cache.find(0x1000, 2), 0u);
  EXPECT_EQ(cache.find(0x1001, 1), 0u);
  cache.clear();
  EXPECT_EQ(cache.find(0x1000, 1), 0u);
}

TEST(RowCache, GrowsWhereItIsTooSmall) {
  PrivateMemory memory;
  RowCache cache;
  cache.start(memory, 2, 10);
  const uint64_t before = memory.used_bytes();
  const auto kept = [&] {
    unsigned count = 0;
    for (uintptr_t pc = 0x1000; pc < 0x1100; ++pc) count += cache.find(pc, 1) == pc;
    return count;
  };
  for (unsigned round = 0; round < 2; ++round) {
    for (uintptr_t pc = 0x1000; pc < 0x1100; ++pc) cache.insert(pc, 1, pc);
    if (round == 0) {
      EXPECT_LE(kept(), 4u);
    }
  }
  for (uintptr_t pc = 0x1000; pc < 0x1100; ++pc) cache.insert(pc, 1, pc);
  EXPECT_GT(memory.used_bytes(), before);
  EXPECT_GT(kept(), 150u);
}

// Threads replace each other's entries in few slots; a row that is found must be the one of its pc.
TEST(RowCache, NeverGivesTheRowOfAnotherPc) {
  PrivateMemory memory;
  RowCache cache;
  cache.start(memory, 2, 2);
  std::atomic<int> wrong{0}, found{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 200'000; ++i) {
        const uintptr_t pc = 0x1000 + (i / 3 * 7 + t) % 64;  // Three times in a row, so that some are found.
        const PackedRow row = cache.find(pc, 1);
        if (row != 0) ++found;
        if (row != 0 && row != pc * 3) ++wrong;
        cache.insert(pc, 1, pc * 3);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(found.load(), 0);
}

}  // namespace
}  // namespace seep
