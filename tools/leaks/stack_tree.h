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

  // A frame that was called by `caller`; kNoNode for the outermost one. `frame` is copied when it is met first, and
  // known by its address while stacks are added.
  Node add(Node caller, const Frame& frame) {
    const auto [known, is_new] = index_by_frame_.try_emplace(&frame, static_cast<uint32_t>(frames_.size()));
    if (is_new) frames_.push_back(frame);
    nodes_.push_back({caller, known->second});
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
  absl::flat_hash_map<const Frame*, uint32_t> index_by_frame_;
};

}  // namespace seep
