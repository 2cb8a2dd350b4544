// SPDX-License-Identifier: Apache-2.0
// The stacks of one process as a reader sees them: with the functions, files and lines of its frames. A stage of
// build_profile(); one thread.
//
// Use: want() stacks, resolve the symbolizer, look_up(), and ask; as often as more is wanted. Stacks that are asked for
// in the order of their traces are cheap, however deep they are: each shares its outer frames with the one before, and
// what is known of those is still there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "leaks/fingerprint.h"
#include "recording/process_recording.h"
#include "symbols/symbolizer.h"

namespace seep {

// The path from the outermost node to some node of a frame tree, with something that is known of each: what concerns
// it with all nodes outside of it. From one path to the next only the part is worked out that they do not share.
template <typename Known>
class TreePath {
 public:
  struct Step {
    FrameTree::Node node;
    Known known;
  };

  // `work_out(node, outer)` gives what is known of a node; `outer` is the step of its caller, null for the outermost.
  template <typename WorkOut>
  void go_to(const FrameTree& tree, FrameTree::Node innermost, WorkOut work_out) {
    new_nodes_.clear();
    // A caller has a smaller number than what it calls. So a step that is larger than the node is on no way outwards.
    FrameTree::Node node = innermost;
    for (; node != FrameTree::kNoNode; node = tree.caller(node)) {
      while (!steps_.empty() && steps_.back().node > node) steps_.pop_back();
      if (!steps_.empty() && steps_.back().node == node) break;
      new_nodes_.push_back(node);
    }
    if (node == FrameTree::kNoNode) steps_.clear();  // They share nothing.
    if (new_nodes_.size() + steps_.size() > steps_.capacity()) steps_.reserve(2 * (new_nodes_.size() + steps_.size()));
    for (auto added = new_nodes_.rbegin(); added != new_nodes_.rend(); ++added) {
      const Step* outer = steps_.empty() ? nullptr : &steps_.back();
      steps_.push_back({*added, work_out(*added, outer)});
    }
  }

  // Outermost first.
  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
  std::vector<FrameTree::Node> new_nodes_;  // Innermost first.
};

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
  Traits traits(Node innermost);
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
  struct Nothing {};
  using Path = TreePath<NodeFacts>;

  OuterFrames with_frames_of(Node node, const Path::Step* outer, size_t but_innermost) const;
  NodeFacts facts_of(Node node, const Path::Step* outer) const;
  Traits traits_of_runtime(Node innermost) const;

  const FrameTree& tree_;
  Symbolizer& symbolizer_;
  std::vector<PlaceFacts> places_;
  TreePath<Nothing> wanted_path_;
  Path path_;
};

}  // namespace seep
