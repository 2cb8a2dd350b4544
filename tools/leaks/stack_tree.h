// SPDX-License-Identifier: Apache-2.0
// The stacks of a profile's sites, stored as a tree from the outermost frames inwards, and each frame once, so that
// their memory is in proportion to what was recorded and not to the sum of all depths: sites that share their callers
// share them here. Plain data; one thread, then read-only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "leaks/fingerprint.h"
#include "symbols/frame.h"

namespace seep {

class StackTree {
 public:
  using Node = uint32_t;
  static constexpr Node kNoNode = std::numeric_limits<Node>::max();

  // Numbers of frames, one after the other in their order; this is the first. They are copied when they are met first,
  // and known by their address while stacks are added.
  uint32_t number_of(const Frame* frames, size_t count) {
    const auto [known, is_new] = number_by_frame_.try_emplace(frames, static_cast<uint32_t>(frames_.size()));
    if (is_new) frames_.insert(frames_.end(), frames, frames + count);
    return known->second;
  }

  // The frame with this number, called by `caller`; kNoNode for the outermost one.
  Node add(Node caller, uint32_t frame) {
    nodes_.push_back({caller, frame});
    return static_cast<Node>(nodes_.size() - 1);
  }

  // Innermost first. Good as long as the tree.
  Stack stack(Node innermost) const {
    Stack stack;
    for (Node node = innermost; node != kNoNode; node = nodes_[node].caller) {
      stack.push_back(&frames_[nodes_[node].frame]);
    }
    return stack;
  }

  size_t node_count() const { return nodes_.size(); }
  size_t frame_count() const { return frames_.size(); }

 private:
  struct Entry {
    Node caller;
    uint32_t frame;
  };
  std::vector<Entry> nodes_;
  std::deque<Frame> frames_;
  absl::flat_hash_map<const Frame*, uint32_t> number_by_frame_;
};

}  // namespace seep
