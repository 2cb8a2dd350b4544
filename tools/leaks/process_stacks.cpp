// SPDX-License-Identifier: Apache-2.0
// From the nodes of a frame tree to logical frames, fingerprints and hashes.
#include "leaks/process_stacks.h"

#include <absl/hash/hash.h>

#include <utility>

namespace seep {

ProcessStacks::ProcessStacks(const ProcessRecording& process, Symbolizer& symbolizer)
    : tree_(process.frames()),
      symbolizer_(symbolizer),
      places_(tree_.places().size()),
      nodes_(tree_.frame_count()),
      wanted_nodes_(tree_.frame_count()) {
  absl::flat_hash_map<uint32_t, Symbolizer::ModuleIndex> module_by_id;
  for (const auto& [id, module] : process.modules()) module_by_id[id] = symbolizer.module_of(module);
  for (Place place = 0; place < places_.size(); ++place) {
    const auto found = module_by_id.find(tree_.places()[place].module_id);
    if (found != module_by_id.end()) places_[place].module = found->second;
  }
}

void ProcessStacks::want(Node innermost) {
  for (Node node = innermost; node != FrameTree::kNoNode && !wanted_nodes_[node]; node = tree_.caller(node)) {
    wanted_nodes_[node] = true;
    all_looked_up_ = false;
    PlaceFacts& place = places_[tree_.place(node)];
    if (!std::exchange(place.wanted, true)) symbolizer_.request(place.module, tree_.frame(node).offset);
  }
}

void ProcessStacks::look_up() {
  if (std::exchange(all_looked_up_, true)) return;
  for (Place place = 0; place < places_.size(); ++place) {
    PlaceFacts& facts = places_[place];
    if (!facts.wanted || !facts.frames.empty()) continue;
    facts.frames = symbolizer_.frames(facts.module, tree_.places()[place].offset);
    facts.in_starting_module = is_starting_module(facts.frames.front().module);
  }
  for (Node node = 0; node < nodes_.size(); ++node) {
    if (wanted_nodes_[node]) look_up_node(node);
  }
}

// Its caller has a smaller number.
void ProcessStacks::look_up_node(Node node) {
  const Node caller = tree_.caller(node);
  nodes_[node].outer = with_frames_of(node, 0);
  const uint64_t outside = caller == FrameTree::kNoNode ? 0 : nodes_[caller].hash;
  nodes_[node].hash = absl::HashOf(outside, frames(tree_.place(node)).data());
}

OuterFrames ProcessStacks::with_frames_of(Node node, size_t but_innermost) const {
  const Node caller = tree_.caller(node);
  const PlaceFacts& place = places_[tree_.place(node)];
  OuterFrames outer;
  const Frame* before = nullptr;
  if (caller != FrameTree::kNoNode) {
    outer = nodes_[caller].outer;
    before = &frames(tree_.place(caller)).front();
  }
  for (size_t index = place.frames.size(); index-- > but_innermost;) {
    const Frame& frame = place.frames[index];
    outer.add(frame, place.in_starting_module, before);
    before = &frame;
  }
  return outer;
}

ProcessStacks::Traits ProcessStacks::traits(Node innermost) const {
  Traits traits{.hash = nodes_[innermost].hash};
  for (Node node = innermost; node != FrameTree::kNoNode; node = tree_.caller(node)) {
    const std::span<const Frame> logical = frames(tree_.place(node));
    size_t runtime = 0;
    while (runtime < logical.size() && logical[runtime].runtime) ++runtime;
    traits.runtime_frames += runtime;
    if (runtime == logical.size()) continue;
    const OuterFrames outer = runtime == 0 ? nodes_[node].outer : with_frames_of(node, runtime);
    const auto fingerprint = outer.fingerprint();
    if (!fingerprint) break;
    traits.fingerprint = *fingerprint;
    traits.starting_frames = outer.starting_frames();
    return traits;
  }
  // Nothing but frames of runtimes, which all count then.
  const Stack whole = stack(innermost);
  traits.fingerprint = fingerprint_of(whole);
  traits.runtime_frames = runtime_frame_count(whole);
  traits.starting_frames = starting_frame_count(whole);
  return traits;
}

Stack ProcessStacks::stack(Node innermost) const {
  Stack stack;
  for (Node node = innermost; node != FrameTree::kNoNode; node = tree_.caller(node)) {
    for (const Frame& logical : frames(tree_.place(node))) stack.push_back(&logical);
  }
  return stack;
}

}  // namespace seep
