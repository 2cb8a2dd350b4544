// SPDX-License-Identifier: Apache-2.0
#include "preload/clock.h"

#include <gtest/gtest.h>
#include <time.h>

namespace seep {
namespace {

uint64_t libc_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// Without start_clock() system calls answer, with it the vDSO; both must lie between two readings of libc's.
TEST(Clock, AgreesWithLibc) {
  for (int round = 0; round < 2; ++round) {
    uint64_t before = libc_clock(CLOCK_MONOTONIC);
    uint64_t now = monotonic_ns();
    EXPECT_LE(before, now);
    EXPECT_LE(now, libc_clock(CLOCK_MONOTONIC));
    before = libc_clock(CLOCK_MONOTONIC_COARSE);
    now = monotonic_coarse_ns();
    EXPECT_LE(before, now);
    EXPECT_LE(now, libc_clock(CLOCK_MONOTONIC_COARSE));
    before = libc_clock(CLOCK_REALTIME);
    now = unix_ns();
    EXPECT_LE(before, now);
    EXPECT_LE(now, libc_clock(CLOCK_REALTIME));
    start_clock();
  }
}

TEST(Clock, KnowsItsResolution) {
  timespec resolution{};
  clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
  EXPECT_EQ(coarse_resolution_ns(), static_cast<uint64_t>(resolution.tv_nsec));
}

}  // namespace
}  // namespace seep
