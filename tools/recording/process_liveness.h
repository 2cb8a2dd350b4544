// SPDX-License-Identifier: Apache-2.0
// Whether the process of a recording is still there. Looks into /proc; sends no signal, changes nothing. One thread.
//
// A process lives as long as it has its region mapped: that cannot be mistaken for another process of the same number,
// and holds across pid namespaces. A region is known by device and inode, or by its name, which has 64 random bits:
// where stat(2) and /proc/PID/maps disagree about devices (btrfs, overlayfs), and for a copy of a region, which lives
// as long as its process does.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "recording/host_identity.h"
#include "recording/process_recording.h"
#include "recording/region_header.h"

namespace seep {

enum class Liveness {
  kAlive,
  kDead,
  kUndecided,  // From another pid namespace, and not all processes can be seen from here. To be kept.
};

class LivenessJudge {
 public:
  explicit LivenessJudge(Viewpoint view = this_viewpoint()) : view_(std::move(view)) {}

  Liveness judge(const RegionFacts& region);

 private:
  Liveness by_pid(const RegionFacts& region) const;
  Liveness by_all_processes(const RegionFacts& region);
  void look_at_all_processes();
  void look_at(const std::string& pid);

  Viewpoint view_;
  // What all processes had mapped; true of the regions that were read before.
  std::chrono::steady_clock::time_point looked_at_{};
  bool saw_all_ = false;
  bool saw_all_nested_ = false;  // All that are in pid namespaces inside the one of `proc`.
  absl::flat_hash_set<std::string> mapped_names_;
  absl::flat_hash_set<std::string> mapped_inodes_;
};

// For a stream without a region. True only where it is certain: the same boot, the same pid namespace, a process of
// that number that started at that time and is no zombie.
bool is_running(const ProcessRecording& process);

// When a process started: Header.process_start_ticks; 0 where it cannot be read.
uint64_t start_ticks_of(uint32_t pid);

}  // namespace seep
