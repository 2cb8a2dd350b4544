// SPDX-License-Identifier: Apache-2.0
// The stacks of one process, stored as a tree from the outermost frames inwards.
//
// A stream says how many outer frames a trace shares with the one before it; here they are shared too, so memory is in
// proportion to the stream, whatever depths it claims.
//
//       main ── serve ─┬─ parse ── copy      a trace is its innermost node
//                      └─ reply
//
// What there is to know of a frame depends on its place in the code alone, and there are far fewer places than nodes:
// they are numbered, so that whoever knows something of each place has it of each node by its number. A caller stands
// before those that it called, so what is known of a caller can be handed on to them in one pass over all nodes.
#pragma once

#include <absl/container/flat_hash_map.h>

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

    bool operator==(const Frame&) const = default;
    template <typename Hash>
    friend Hash AbslHashValue(Hash hash, const Frame& frame) {
      return Hash::combine(std::move(hash), frame.module_id, frame.offset);
    }
  };
  using Node = uint32_t;
  using Place = uint32_t;  // Of a frame in places().
  static constexpr Node kNoNode = std::numeric_limits<Node>::max();

  // A frame that was called by `caller`; kNoNode for the outermost one.
  Node add(Node caller, Frame frame) {
    nodes_.push_back({caller, place_of(frame)});
    return static_cast<Node>(nodes_.size() - 1);
  }

  // Calls `visit(frame)` for each frame, innermost first.
  template <typename Visit>
  void for_each_frame(Node innermost, Visit visit) const {
    for (Node node = innermost; node != kNoNode; node = nodes_[node].caller) visit(places_[nodes_[node].place]);
  }

  Node caller(Node node) const { return nodes_[node].caller; }
  Place place(Node node) const { return nodes_[node].place; }
  const Frame& frame(Node node) const { return places_[nodes_[node].place]; }

  size_t frame_count() const { return nodes_.size(); }
  const std::vector<Frame>& places() const { return places_; }

 private:
  struct Entry {
    Node caller;
    Place place;
  };

  // Most frames are one of few thousand: a table of the last ones saves most searches.
  Place place_of(Frame frame) {
    const uint64_t mixed = (frame.offset ^ uint64_t{frame.module_id} << 48) * 0x9E3779B97F4A7C15;
    Place& recent = recent_[mixed >> (64 - kRecentBits)];
    if (recent < places_.size() && places_[recent] == frame) return recent;
    const auto [known, is_new] = place_of_.try_emplace(frame, static_cast<Place>(places_.size()));
    if (is_new) places_.push_back(frame);
    return recent = known->second;
  }

  static constexpr int kRecentBits = 12;

  std::vector<Entry> nodes_;
  std::vector<Frame> places_;
  std::vector<Place> recent_ = std::vector<Place>(size_t{1} << kRecentBits);
  absl::flat_hash_map<Frame, Place> place_of_;
};

}  // namespace seep
