// SPDX-License-Identifier: Apache-2.0
//
// Ground truth: a map of the same blocks.
#include "preload/address_table.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "preload/live_table.h"

namespace seep {
namespace {

constexpr uint64_t kBirthUnitNs = uint64_t{1} << AddressTable::kBirthUnitBits;

class AddressTableTest : public testing::Test {
 protected:
  AddressTableTest() { live->use_addresses(); }

  std::map<uintptr_t, LiveEntry> all() const {
    std::map<uintptr_t, LiveEntry> found;
    live->each([&](uintptr_t address, const LiveEntry& entry) {
      EXPECT_TRUE(found.emplace(address, entry).second) << "twice: " << address;
    });
    return found;
  }
  bool has_word(uintptr_t address) { return live->by_address().find(address) != nullptr; }

  PrivateMemory memory;
  std::unique_ptr<LiveTable> live = std::make_unique<LiveTable>(memory, 4);
  LiveEntry old{};
};

void expect_same(const LiveEntry& a, const LiveEntry& b) {
  EXPECT_EQ(a.size_bytes, b.size_bytes);
  EXPECT_EQ(a.trace, b.trace);
  EXPECT_EQ(a.birth_ns, b.birth_ns);
  EXPECT_EQ(a.ignored, b.ignored);
}

TEST_F(AddressTableTest, AnEntryComesBackAsItWasPutIn) {
  const LiveEntry entries[] = {{0, 0, 4, 0, false},
                               {2046, kBirthUnitNs * 77, 8, 0, false},
                               {100, kBirthUnitNs * ((1 << 27) - 1), (1u << 26) - 4, 0, false}};
  uintptr_t address = 0x7f0000000010;
  for (const LiveEntry& entry : entries) {
    ASSERT_EQ(live->insert(address, entry, old), LiveTable::Insert::kDone);
    EXPECT_TRUE(has_word(address));
    LiveEntry found;
    ASSERT_TRUE(live->look_up(address, found));
    expect_same(found, entry);
    address += 32;
  }
}

TEST_F(AddressTableTest, WhatDoesNotFitIsKeptAllTheSame) {
  const LiveEntry entries[] = {{100, 0, 6, 0, false},                   // A trace that is not aligned to 64,
                               {100, kBirthUnitNs << 27, 8, 0, false},  // a birth after three days,
                               {100, 0, 8, 0, true},                    // one that is not to be called leaked,
                               {uint64_t{1} << 40, 0, 8, 0, false}};    // and a huge one.
  uintptr_t address = 0x550000000000;
  for (const LiveEntry& entry : entries) {
    ASSERT_EQ(live->insert(address, entry, old), LiveTable::Insert::kDone);
    EXPECT_FALSE(has_word(address));
    LiveEntry found;
    ASSERT_TRUE(live->remove(address, found));
    expect_same(found, entry);
    address += 4096;
  }
}

TEST_F(AddressTableTest, NeighboursWithin32BytesAreToldApart) {
  const uintptr_t first = 0x550000000100;
  for (unsigned i = 0; i < 4; ++i)
    ASSERT_EQ(live->insert(first + 8 * i, {i, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  for (unsigned i = 0; i < 4; ++i) {
    LiveEntry found;
    ASSERT_TRUE(live->remove(first + 8 * i, found)) << i;
    EXPECT_EQ(found.size_bytes, i);
    EXPECT_FALSE(live->contains(first + 8 * i));
  }
}

TEST_F(AddressTableTest, TwoPartsOfTheAddressSpaceThatShareAPlaceInTheDirectory) {
  const uintptr_t first = 0x550000000100, second = first + (uintptr_t{1} << 36);
  ASSERT_EQ(live->insert(first, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  ASSERT_EQ(live->insert(second, {2, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  EXPECT_TRUE(has_word(first));
  EXPECT_FALSE(has_word(second));
  LiveEntry found;
  ASSERT_TRUE(live->remove(second, found));
  EXPECT_EQ(found.size_bytes, 2u);
  EXPECT_TRUE(live->contains(first));
}

// Addresses that are none of a program's, as a program that frees at random has them.
TEST_F(AddressTableTest, WildAddressesAreNotThere) {
  ASSERT_EQ(live->insert(0x550000000100, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) EXPECT_FALSE(has_word(random() | uintptr_t{1} << 47));
}

TEST_F(AddressTableTest, ALargeBlockIsThereAmongSmallOnesAndCostsNoTableAmongLargeOnes) {
  const uintptr_t small = 0x550000000100, large = small + 64, alone = small + (1 << 20);
  ASSERT_EQ(live->insert(small, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  const uint64_t sizes[] = {2047, 2048, 100'000, (uint64_t{1} << 38) - 1};
  for (const uint64_t size : sizes) {
    ASSERT_EQ(live->insert(large, {size, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
    EXPECT_TRUE(has_word(large));
    EXPECT_EQ(all().at(large).size_bytes, size);
    EXPECT_EQ(all().size(), 2u);
    LiveEntry found;
    ASSERT_TRUE(live->remove(large, found));
    EXPECT_EQ(found.size_bytes, size);
  }
  const uint64_t used_bytes = memory.used_bytes();
  ASSERT_EQ(live->insert(alone, {5000, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  EXPECT_FALSE(has_word(alone));
  EXPECT_EQ(all().at(alone).size_bytes, 5000u);
  EXPECT_LE(memory.used_bytes() - used_bytes, uint64_t{16} * 8 * 24) << "the first hash table";
}

TEST_F(AddressTableTest, WhatIsUsedIsCountedByPagesOfHeap) {
  const uint64_t before = memory.used_bytes();
  for (unsigned page = 0; page < 10; ++page) {
    for (unsigned i = 0; i < 4096; i += 64) {
      ASSERT_EQ(live->insert(0x550000000000 + page * 4096 + i, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
    }
  }
  EXPECT_EQ(memory.used_bytes() - before, 10u * 1024);
}

TEST_F(AddressTableTest, WhatIsForgottenIsNotedAnewAndItsBlocksAreSeen) {
  const uintptr_t address = 0x550000001000;
  AddressTable& table = live->by_address();
  ASSERT_EQ(live->insert(address, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  ASSERT_EQ(live->insert(address + 64, {1, 0, 4, 0, false}, old), LiveTable::Insert::kDone);
  LiveEntry found;
  ASSERT_TRUE(live->remove(address + 64, found));
  EXPECT_TRUE(table.is_noted(address));
  EXPECT_EQ(table.word_of(address + 64)->load(), AddressTable::kFree);
  table.forget(address + 100, 10);
  EXPECT_FALSE(table.is_noted(address));
  EXPECT_EQ(table.word_of(address + 64)->load(), 0u);
  EXPECT_EQ(all().size(), 1u);
}

TEST_F(AddressTableTest, AsAMapOfTheSameBlocksSays) {
  std::mt19937_64 random(11);
  std::map<uintptr_t, LiveEntry> truth;
  for (int step = 0; step < 100'000; ++step) {
    const uintptr_t address = 0x550000000000 + random() % (64 << 20) / 4096 * 64 + random() % 4 * 8;
    const LiveEntry entry{random() % 40 == 0 ? 2000 + random() % 5000 : random() % 60, random() % 1000 * kBirthUnitNs,
                          static_cast<uint32_t>(4 * (1 + random() % 1000)), 0, random() % 50 == 0};
    if (random() % 2 == 0) {
      const auto expected = truth.contains(address) ? LiveTable::Insert::kReplaced : LiveTable::Insert::kDone;
      ASSERT_EQ(live->insert(address, entry, old), expected);
      if (expected == LiveTable::Insert::kReplaced) expect_same(old, truth[address]);
      truth[address] = entry;
    } else {
      LiveEntry found;
      ASSERT_EQ(live->remove(address, found), truth.contains(address));
      if (truth.contains(address)) expect_same(found, truth[address]);
      truth.erase(address);
    }
  }
  const auto found = all();
  ASSERT_EQ(found.size(), truth.size());
  for (const auto& [address, entry] : truth) expect_same(found.at(address), entry);
}

TEST_F(AddressTableTest, ABlockThatIsIgnoredStaysAndIsSo) {
  const uintptr_t address = 0x550000000100;
  ASSERT_EQ(live->insert(address, {100, kBirthUnitNs, 8, 0, false}, old), LiveTable::Insert::kDone);
  EXPECT_TRUE(live->set_ignored(address + 50));
  ASSERT_EQ(all().size(), 1u);
  expect_same(all().at(address), {100, kBirthUnitNs, 8, 0, true});
  EXPECT_FALSE(live->set_ignored(address + 100));
}

// Each thread has blocks of its own, on pages that all share.
TEST_F(AddressTableTest, ThreadsOnTheSamePagesDoNotMeet) {
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      LiveEntry entry;
      for (int round = 0; round < 200; ++round) {
        for (uintptr_t i = 0; i < 200; ++i) {
          const uintptr_t address = 0x550000000000 + (i * 4 + number) * 32;
          EXPECT_EQ(live->insert(address, {number, 0, 4 + 4 * number, 0, false}, entry), LiveTable::Insert::kDone);
        }
        for (uintptr_t i = 0; i < 200; ++i) {
          const uintptr_t address = 0x550000000000 + (i * 4 + number) * 32;
          ASSERT_TRUE(live->remove(address, entry));
          EXPECT_EQ(entry.size_bytes, number);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(all().empty());
}

}  // namespace
}  // namespace seep
