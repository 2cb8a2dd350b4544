// SPDX-License-Identifier: Apache-2.0
// The stacks of one process, stored as a tree from the outermost frames inwards.
//
// A stream says how many outer frames a trace shares with the one before it; here they are shared too, so memory is in
// proportion to the stream, whatever depths it claims.
//
//       main ── serve ─┬─ parse ── copy      a trace is its innermost node
//                      └─ reply
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace seep {

class FrameTree {
 public:
  struct Frame {
    uint32_t module_id = 0;  // 0: outside any module.
    uint64_t offset = 0;     // As addresses in the module's ELF headers are.
  };
  using Node = uint32_t;
  static constexpr Node kNoNode = std::numeric_limits<Node>::max();

  // A frame that was called by `caller`; kNoNode for the outermost one.
  Node add(Node caller, Frame frame) {
    nodes_.push_back({caller, frame});
    return static_cast<Node>(nodes_.size() - 1);
  }

  // Calls `visit(frame)` for each frame, innermost first.
  template <typename Visit>
  void for_each_frame(Node innermost, Visit visit) const {
    for (Node node = innermost; node != kNoNode; node = nodes_[node].caller) visit(nodes_[node].frame);
  }

  Node caller(Node node) const { return nodes_[node].caller; }
  const Frame& frame(Node node) const { return nodes_[node].frame; }

  size_t frame_count() const { return nodes_.size(); }

 private:
  struct Entry {
    Node caller;
    Frame frame;
  };
  std::vector<Entry> nodes_;
};

}  // namespace seep
