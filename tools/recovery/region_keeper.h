// SPDX-License-Identifier: Apache-2.0
// What `seep run` does for the processes that record into its directory, while they run: at each look a snapshot of
// each that lives, idle and hung ones too, and the folding of those that died, whose memory is free then. The program
// comes first: nothing that fails here is said, or tried without end. One thread.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <memory>
#include <string>

#include "recording/process_liveness.h"
#include "recovery/thinning_pass.h"

namespace seep {

class RegionKeeper {
 public:
  // `region_place`: where regions lie beside the usual places; empty: nowhere.
  explicit RegionKeeper(std::string directory, std::string region_place = "")
      : directory_(std::move(directory)), region_place_(std::move(region_place)) {}

  void look();
  // After the program's end: folds all dead ones, whatever failed before.
  void finish();

 private:
  struct Kept {
    unsigned failures = 0;
    ThinningPass thinning;
  };

  void keep(const RegionFacts& region, Kept& kept);

  std::string directory_;
  std::string region_place_;
  LivenessJudge judge_;
  absl::flat_hash_map<std::string, std::unique_ptr<Kept>> kept_;  // By path.
};

}  // namespace seep
