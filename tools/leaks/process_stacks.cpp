// SPDX-License-Identifier: Apache-2.0
// From the nodes of a frame tree to logical frames, fingerprints and hashes.
#include "leaks/process_stacks.h"

#include <absl/container/flat_hash_map.h>

#include <utility>

namespace seep {
namespace {

// Of a stack and a frame within: frames are where they are, in whatever process.
uint64_t mixed(uint64_t outside, const Frame* frames) {
  StableHash hash;
  hash.add(outside);
  hash.add(reinterpret_cast<uintptr_t>(frames));
  return hash.value();
}

}  // namespace

ProcessStacks::ProcessStacks(const ProcessRecording& process, Symbolizer& symbolizer)
    : tree_(process.frames()), symbolizer_(symbolizer), places_(tree_.places().size()) {
  absl::flat_hash_map<uint32_t, Symbolizer::ModuleIndex> module_by_id;
  for (const auto& [id, module] : process.modules()) module_by_id[id] = symbolizer.module_of(module);
  for (Place place = 0; place < places_.size(); ++place) {
    const auto found = module_by_id.find(tree_.places()[place].module_id);
    if (found != module_by_id.end()) places_[place].module = found->second;
  }
}

void ProcessStacks::want(Node innermost) {
  wanted_path_.go_to(tree_, innermost, [this](Node node, const auto*) {
    PlaceFacts& place = places_[tree_.place(node)];
    if (!std::exchange(place.wanted, true)) symbolizer_.request(place.module, tree_.frame(node).offset);
    return Nothing();
  });
}

void ProcessStacks::look_up() {
  for (Place place = 0; place < places_.size(); ++place) {
    PlaceFacts& facts = places_[place];
    if (!facts.wanted || !facts.frames.empty()) continue;
    facts.frames = symbolizer_.frames(facts.module, tree_.places()[place].offset);
    facts.in_starting_module = is_starting_module(facts.frames.front().module);
  }
}

// What is known of the caller, and the frames of the node, but for so many at the inner end.
OuterFrames ProcessStacks::with_frames_of(Node node, const Path::Step* outer, size_t but_innermost) const {
  const PlaceFacts& place = places_[tree_.place(node)];
  OuterFrames all = outer == nullptr ? OuterFrames() : outer->known.outer;
  const Frame* before = outer == nullptr ? nullptr : &frames(tree_.place(outer->node)).front();
  for (size_t index = place.frames.size(); index-- > but_innermost;) {
    const Frame& frame = place.frames[index];
    all.add(frame, place.in_starting_module, before);
    before = &frame;
  }
  return all;
}

ProcessStacks::NodeFacts ProcessStacks::facts_of(Node node, const Path::Step* outer) const {
  const uint64_t outside = outer == nullptr ? 0 : outer->known.hash;
  return {with_frames_of(node, outer, 0), mixed(outside, frames(tree_.place(node)).data())};
}

ProcessStacks::Traits ProcessStacks::traits(Node innermost) {
  path_.go_to(tree_, innermost, [this](Node node, const Path::Step* outer) { return facts_of(node, outer); });
  const std::vector<Path::Step>& steps = path_.steps();
  Traits traits{.hash = steps.back().known.hash};
  for (size_t index = steps.size(); index-- > 0;) {
    const std::span<const Frame> logical = frames(tree_.place(steps[index].node));
    size_t runtime = 0;
    while (runtime < logical.size() && logical[runtime].runtime) ++runtime;
    traits.runtime_frames += runtime;
    if (runtime == logical.size()) continue;
    const Path::Step* outer = index == 0 ? nullptr : &steps[index - 1];
    const OuterFrames own = runtime == 0 ? steps[index].known.outer : with_frames_of(steps[index].node, outer, runtime);
    const auto fingerprint = own.fingerprint();
    if (!fingerprint) break;
    traits.fingerprint = *fingerprint;
    traits.starting_frames = own.starting_frames();
    return traits;
  }
  return traits_of_runtime(innermost);
}

// Of a stack in which nothing is left but frames of runtimes: all of them count then.
ProcessStacks::Traits ProcessStacks::traits_of_runtime(Node innermost) const {
  const Stack whole = stack(innermost);
  return {.fingerprint = fingerprint_of(whole),
          .hash = path_.steps().back().known.hash,
          .runtime_frames = runtime_frame_count(whole),
          .starting_frames = starting_frame_count(whole)};
}

Stack ProcessStacks::stack(Node innermost) const {
  Stack stack;
  for (Node node = innermost; node != FrameTree::kNoNode; node = tree_.caller(node)) {
    for (const Frame& logical : frames(tree_.place(node))) stack.push_back(&logical);
  }
  return stack;
}

}  // namespace seep
