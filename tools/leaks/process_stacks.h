// SPDX-License-Identifier: Apache-2.0
// The stacks of one process as a reader sees them: with the functions, files and lines of its frames. A stage of
// build_profile(); one thread.
//
// Use: want() stacks, resolve the symbolizer, look_up(), and ask; as often as more is wanted. What concerns a stack as
// a whole is worked out for every node of the frame tree from its caller's, so that asking costs the same however deep
// a stack is.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "leaks/fingerprint.h"
#include "recording/process_recording.h"
#include "symbols/symbolizer.h"

namespace seep {

class ProcessStacks {
 public:
  using Node = FrameTree::Node;
  using Place = FrameTree::Place;

  // What merging needs to know of a stack.
  struct Traits {
    uint64_t fingerprint = 0;
    uint64_t hash = 0;  // The same for stacks that a reader cannot tell apart, in whatever process.
    size_t runtime_frames = 0;
    size_t starting_frames = 0;
  };

  // Both must outlive this.
  ProcessStacks(const ProcessRecording& process, Symbolizer& symbolizer);

  // Asks the symbolizer for the frames of a stack.
  void want(Node innermost);
  // To be called when what was wanted has been resolved.
  void look_up();

  // Of a stack that was looked up, and has frames.
  Traits traits(Node innermost) const;
  // Innermost first; without a node it is empty.
  Stack stack(Node innermost) const;
  // What was written at a place, innermost first.
  std::span<const Frame> frames(Place place) const { return places_[place].frames; }

  const FrameTree& tree() const { return tree_; }

 private:
  struct PlaceFacts {
    Symbolizer::ModuleIndex module = Symbolizer::kNoModule;
    bool wanted = false;
    bool in_starting_module = false;
    std::span<const Frame> frames;  // Empty until they are looked up.
  };
  struct NodeFacts {
    OuterFrames outer;  // With those of this node.
    uint64_t hash = 0;
  };

  void look_up_node(Node node);
  // Adds the frames of a node to those outside of it, but for so many at the inner end.
  OuterFrames with_frames_of(Node node, size_t but_innermost) const;

  const FrameTree& tree_;
  Symbolizer& symbolizer_;
  std::vector<PlaceFacts> places_;
  std::vector<NodeFacts> nodes_;
  std::vector<bool> wanted_nodes_;  // Each with all its callers.
  bool all_looked_up_ = true;
};

}  // namespace seep
