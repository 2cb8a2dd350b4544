// SPDX-License-Identifier: Apache-2.0
// Snapshots and folds at each look.
#include "recovery/region_keeper.h"

#include "recording/region_search.h"
#include "recovery/fold.h"
#include "recovery/outside_snapshot.h"
#include "recovery/process_region.h"

namespace seep {
namespace {

constexpr unsigned kMostFailures = 5;
constexpr std::chrono::milliseconds kMostWait{100};  // Meanwhile no signal is forwarded.

}  // namespace

void RegionKeeper::look() {
  absl::flat_hash_map<std::string, std::unique_ptr<Kept>> still_there;
  for (const RegionFacts& region : regions_of(directory_, region_place_)) {
    auto& kept = still_there[region.path] = std::move(kept_[region.path]);
    if (kept == nullptr) kept = std::make_unique<Kept>();
    if (kept->failures >= kMostFailures) continue;
    try {
      keep(region, *kept);
      kept->failures = 0;
    } catch (const std::exception&) {
      ++kept->failures;
    }
  }
  kept_ = std::move(still_there);
}

void RegionKeeper::keep(const RegionFacts& region, Kept& kept) {
  const Liveness liveness = judge_.judge(region);
  if (liveness == Liveness::kDead) {
    fold_region(region, {.own_directory = directory_, .most_wait = kMostWait});
  } else if (liveness == Liveness::kAlive) {
    const bool reachable = region.identity.pid_namespace == this_pid_namespace();
    take_snapshot({.region_path = region.path,
                   .root = reachable ? root_of(region.identity.pid) : "",
                   .own_directory = directory_,
                   .kind = SnapshotKind::kInterval,
                   .most_wait = kMostWait,
                   .thinning = &kept.thinning});
  }
}

void RegionKeeper::finish() {
  for (const RegionFacts& region : regions_of(directory_, region_place_)) {
    try {
      if (judge_.judge(region) == Liveness::kDead) fold_region(region, {.own_directory = directory_});
    } catch (const std::exception&) {
      continue;  // It stays where it is, and is read there.
    }
  }
}

}  // namespace seep
