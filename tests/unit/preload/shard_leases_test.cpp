// SPDX-License-Identifier: Apache-2.0
#include "preload/shard_leases.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace seep {
namespace {

unsigned take(ShardLeases& leases, uint32_t number = 0) {
  return leases.take(static_cast<uint32_t>(getpid()), static_cast<uint32_t>(gettid()), number);
}

TEST(ShardLeases, ThreadsThatLiveAtOnceHaveOneEachAndTheOthersShareTheRest) {
  auto leases = std::make_unique<ShardLeases>();
  constexpr unsigned kThreads = kAloneShards + 10;
  std::mutex mutex;
  std::set<unsigned> alone;
  std::vector<unsigned> shared;
  std::atomic<unsigned> taken{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const unsigned shard = take(*leases, i);
      {
        const std::lock_guard lock(mutex);
        if (shard >= kAloneShards) shared.push_back(shard);
        else EXPECT_TRUE(alone.insert(shard).second) << "two threads have " << shard;
      }
      ++taken;
      while (taken.load() < kThreads) std::this_thread::yield();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(alone.size(), kAloneShards);
  EXPECT_EQ(shared.size(), 10u);
  for (const unsigned shard : shared) EXPECT_LT(shard, kShards);
}

TEST(ShardLeases, WhatAThreadHadThatHasEndedIsHadAgain) {
  auto leases = std::make_unique<ShardLeases>();
  for (unsigned i = 0; i < 5 * kAloneShards; ++i) {
    unsigned shard = kShards;
    std::thread([&] { shard = take(*leases, i); }).join();
    EXPECT_LT(shard, kAloneShards) << i;
  }
}

TEST(ShardLeases, AThreadThatAsksAgainHasTheSame) {
  auto leases = std::make_unique<ShardLeases>();
  const unsigned shard = take(*leases);
  EXPECT_EQ(take(*leases), shard);
  leases->clear();
  EXPECT_EQ(take(*leases), 0u);
}

}  // namespace
}  // namespace seep
